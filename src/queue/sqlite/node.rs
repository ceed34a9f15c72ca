//! The id of this node: one run of the program on this database.

use rusqlite::Connection;

/// The id of a node. Positive and never used again; 0 is no node.
pub(super) type NodeId = i64;

/// Registers a node and returns its id.
pub(super) fn register(conn: &Connection) -> rusqlite::Result<NodeId> {
    conn.query_row("INSERT INTO nodes DEFAULT VALUES RETURNING id", [], |row| {
        row.get(0)
    })
}

/// Removes all nodes but this one.
pub(super) fn remove_others(conn: &Connection, node: NodeId) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM nodes WHERE id <> ?1", [node])
        .map(drop)
}

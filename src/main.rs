//! The `jobbell` program: arguments in, exit code out.

fn main() -> std::process::ExitCode {
    jobbell::cli::run().into()
}

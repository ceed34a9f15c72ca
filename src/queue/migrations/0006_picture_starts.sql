-- An event whose pictures are being worked on is marked: when the process dies meanwhile, they are not taken up again.
ALTER TABLE captures ADD COLUMN started INTEGER NOT NULL DEFAULT 0;
-- 1 when the small copy shows only the beginning of a very tall or very wide picture.
ALTER TABLE pictures ADD COLUMN partial INTEGER NOT NULL DEFAULT 0;

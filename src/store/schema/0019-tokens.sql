-- Keys for programs; of each only the SHA-256 is here. Without an account, a program stands for itself.
CREATE TABLE token (
  secret  BLOB PRIMARY KEY,
  name    TEXT NOT NULL,
  account TEXT,
  role    TEXT NOT NULL,
  since   INTEGER NOT NULL,
  until   INTEGER NOT NULL,
  used    INTEGER
) STRICT;

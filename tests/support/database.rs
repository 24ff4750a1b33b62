//! What is found in a database and the files beside it.

use std::fs;
use std::path::Path;

use stormbell::store::Reader;

/// Whether a kept post has the text, or any file of the database holds it in clear.
pub fn holds(database: &Path, text: &str) -> bool {
    keeps(database, text) || in_clear(database, text)
}

/// Whether a kept post has the text, once it is opened with the keys.
pub fn keeps(database: &Path, text: &str) -> bool {
    let kept = Reader::open(database).unwrap().kept_posts(None, usize::MAX).unwrap();
    kept.iter().any(|kept| kept.json.contains(text))
}

/// Whether a file in the folder of the database holds the text in clear.
pub fn in_clear(database: &Path, text: &str) -> bool {
    let files = fs::read_dir(database.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let holds = |bytes: Vec<u8>| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    files.filter(|path| path.is_file()).any(|path| holds(fs::read(path).unwrap()))
}

//! Files, read whole and not without end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The content of `file`, which may have at most `limit` bytes.
///
/// # Errors
/// The system's error, or that the file is longer.
pub fn read(file: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    File::open(file)?.take(most.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() > limit {
        return Err(io::Error::other(format!("it is longer than {limit} bytes")));
    }
    Ok(content)
}

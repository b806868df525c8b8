//! Secret files: readable by their owner only, durable before they are relied on.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a secret, mode 0600, and returns once it is durable under its name.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let fresh = path.with_extension("new");
    std::fs::remove_file(&fresh).ok();
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes.as_ref())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

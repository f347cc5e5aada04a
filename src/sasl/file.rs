//! Reading a file with a secret in it: it is ours or root's, nobody else can read it, and it is no longer than such a file
//! can be.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

/// The octets of the file.
///
/// # Errors
/// Words: it cannot be read, others could read it too, it belongs to another user, or it is longer than `most`.
pub(super) fn read(path: &Path, most: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    // A FIFO without a writer would keep whoever opens it waiting: this open does not wait, and a FIFO is refused below.
    let mut options = File::options();
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    options.read(true).custom_flags(i32::try_from(flags).unwrap_or(0));
    let file = options.open(path).map_err(cannot)?;
    // Of the open file: what the name leads to may change in between.
    let metadata = file.metadata().map_err(cannot)?;
    if !metadata.is_file() {
        return Err("is no file".into());
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(format!("has secrets, and its mode {mode:03o} lets others at them: chmod 600"));
    }
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(format!("has secrets, and belongs to another user ({owner})"));
    }
    // As much room as is needed: a buffer that grows leaves copies behind that nobody zeroes.
    let mut octets = Zeroizing::new(Vec::with_capacity(most + 1));
    file.take(most as u64 + 1).read_to_end(&mut octets).map_err(cannot)?;
    if octets.len() > most { Err(format!("is longer than {most} octets")) } else { Ok(octets) }
}

//! Writes the first inputs into the corpora; see `bringup_fuzz::seeds`.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    for (target, name, bytes) in bringup_fuzz::seeds::all() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

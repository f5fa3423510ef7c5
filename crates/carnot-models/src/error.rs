//! Why a model cannot be read.

use std::path::PathBuf;

/// Why a model cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The system refuses.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is nothing of that name.
    #[error("there is no {}", path.display())]
    Missing {
        /// As given.
        path: PathBuf,
    },
    /// A pipe or a device, whose length is not known.
    #[error("{} is no regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// A file of no bytes.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// No reader knows this beginning.
    #[error("{} is of no known format: it begins with {start:02x?}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        start: Vec<u8>,
    },
    /// A folder without a file of weights.
    #[error("{} holds no weights", path.display())]
    NoWeights {
        /// The folder.
        path: PathBuf,
    },
    /// Less is there than the file says.
    #[error("{}: {what} takes {needed} bytes, and {present} are there", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
        /// Bytes it takes.
        needed: u64,
        /// Bytes that are there.
        present: u64,
    },
    /// The file contradicts its own format.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, as a sentence without a full stop.
        what: String,
    },
    /// A number in the file is beyond what any model needs, or what the rest of the file could hold.
    #[error("{}: {what} is {found}, at most {most} can be", path.display())]
    TooMuch {
        /// The file.
        path: PathBuf,
        /// What is too much.
        what: String,
        /// As the file says.
        found: u64,
        /// The limit.
        most: u64,
    },
    /// A tensor of a type whose numbers cannot be read.
    #[error("{}: the numbers of `{tensor}` are of type {found}", path.display())]
    ElementType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type as the file names it.
        found: String,
    },
    /// A member of an archive that grows out of all proportion.
    #[error("{}: `{member}` inflates from {stored} to {inflated} bytes", path.display())]
    Bomb {
        /// The archive.
        path: PathBuf,
        /// The member.
        member: String,
        /// Bytes stored.
        stored: u64,
        /// Bytes announced.
        inflated: u64,
    },
    /// A pickle that wants something called which makes no tensor.
    #[error("{}: the file asks to call {name}, which makes no tensor", path.display())]
    Code {
        /// The file.
        path: PathBuf,
        /// What would be called: `os.system`.
        name: String,
    },
    /// A shard that the index names and that is not there.
    #[error("{} names the shard {shard}, which is not there", path.display())]
    MissingShard {
        /// The index.
        path: PathBuf,
        /// The shard.
        shard: String,
    },
    /// A tensor that the index places in a shard which does not hold it.
    #[error("{} says that {shard} holds `{tensor}`, and it does not", path.display())]
    NotInShard {
        /// The index.
        path: PathBuf,
        /// The shard.
        shard: String,
        /// The tensor.
        tensor: String,
    },
    /// A key of `config.json` that is missing or of another kind.
    #[error("{}: {key} must be {wanted}{}", path.display(), but(found))]
    Config {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What it must be.
        wanted: &'static str,
        /// What it is; empty when it is missing.
        found: String,
    },
}

fn but(found: &str) -> String {
    if found.is_empty() { ", and is missing".into() } else { format!(", not {found}") }
}

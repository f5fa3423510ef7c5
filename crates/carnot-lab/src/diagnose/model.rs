//! Files of trained models.

use carnot_models::error::ModelError;
use carnot_report::diagnostic::Diagnostic;

use super::{Explain, at, flag, told};

const AGAIN: &str = "download or save the file again";

impl Explain for ModelError {
    fn explain(&self) -> Diagnostic {
        let say = |code, cause: &str, remedy: &str| {
            at(flag("NETWORK"), told(code, self.to_string(), cause, remedy))
        };
        match self {
            ModelError::Io { .. } => {
                say("model/unreadable", "the system refuses", "look at the rights of the file")
            }
            ModelError::Missing { .. } => {
                say("model/missing", "no such file or folder", "ls   shows what is there")
            }
            ModelError::NotAFile { .. } => say(
                "model/not-a-file",
                "its length cannot be known before reading",
                "save it as a file first",
            ),
            ModelError::Empty { .. } => {
                say("model/empty", "the download or the saving was interrupted", AGAIN)
            }
            ModelError::UnknownFormat { .. } => say(
                "model/unknown-format",
                "safetensors, GGUF, PyTorch and NPZ are known by their first bytes",
                "save it as safetensors, or give a network as TOML or as a shorthand",
            ),
            ModelError::NoWeights { .. } => say(
                "model/no-weights",
                "no file in it ends in .safetensors, .gguf, .pt, .pth, .bin, .ckpt or .npz",
                "give the folder or file that holds the weights",
            ),
            ModelError::Truncated { .. } => {
                say("model/truncated", "the file is cut, or its header lies", AGAIN)
            }
            ModelError::Damaged { .. } => say("model/damaged", "the file contradicts its own format", AGAIN),
            ModelError::TooMuch { .. } => {
                say("model/too-much", "no memory is taken for what the rest of the file cannot hold", AGAIN)
            }
            ModelError::ElementType { .. } => say(
                "model/element-type",
                "numbers of this type are not read",
                "save it in F32, F16, BF16, Q8_0, Q5_1, Q5_0, Q4_1 or Q4_0",
            ),
            ModelError::Bomb { .. } => say(
                "model/bomb",
                "weights hardly shrink when they are compressed, so this is made to fill the memory",
                "save the arrays without compression, if they are truly of one value",
            ),
            ModelError::Code { .. } => say(
                "model/code",
                "a pickle is walked, never executed, and tensors need no other call",
                "save the state_dict alone: torch.save(model.state_dict(), FILE), or as safetensors",
            ),
            ModelError::MissingShard { .. } | ModelError::NotInShard { .. } => say(
                "model/shards",
                "index and shards are not of the same download",
                "download the missing shard, or give one shard by its own name",
            ),
            ModelError::Config { .. } => say(
                "model/config",
                "the file is not what its library writes",
                "put the config.json back that came with the weights, or move it away to read the weights alone",
            ),
        }
    }
}

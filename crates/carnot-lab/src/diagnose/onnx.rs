//! ONNX models.

use carnot_onnx::error::OnnxError;
use carnot_report::diagnostic::Diagnostic;

use super::{Explain, at, flag, told};

const AGAIN: &str = "export or download the model again";
const OTHER: &str = "read it from PyTorch (carnot.check), or its weights alone: save them as safetensors and carnot check the file";

impl Explain for OnnxError {
    fn explain(&self) -> Diagnostic {
        let say = |code, cause: &str, remedy: &str| {
            at(flag("NETWORK"), told(code, self.to_string(), cause, remedy))
        };
        let of_batch = |code, cause: &str, remedy: &str| {
            at(flag("--batch"), told(code, self.to_string(), cause, remedy))
        };
        match self {
            OnnxError::File { source, .. } => {
                let cause = match source.kind() {
                    std::io::ErrorKind::NotFound => "there is no such file",
                    _ => "the system refuses",
                };
                say("onnx/file", cause, "ls   shows what is there")
            }
            OnnxError::NotAModel { .. } => say(
                "onnx/not-a-model",
                "an ONNX model is a protocol buffer that begins with its version",
                AGAIN,
            ),
            OnnxError::Truncated { .. } => {
                say("onnx/truncated", "the file is cut, or a length in it lies", AGAIN)
            }
            OnnxError::Damaged { .. } => say("onnx/damaged", "the file contradicts its own format", AGAIN),
            OnnxError::TooMuch { .. } => {
                say("onnx/too-much", "no memory is taken for more than any model has", AGAIN)
            }
            OnnxError::Tensor { .. } => say("onnx/tensor", "shape and numbers do not fit together", AGAIN),
            OnnxError::External { .. } => say(
                "onnx/external-data",
                "large models keep weights in files beside them, and only there they are looked for",
                "put that file into the folder of the model, under the name that the model uses",
            ),
            OnnxError::Cycle { .. } => {
                say("onnx/cycle", "a node needs its own output, so nothing can be computed", AGAIN)
            }
            OnnxError::Unknown { .. } => {
                say("onnx/unknown-value", "no node, input or constant has that name", AGAIN)
            }
            OnnxError::NoLayers { .. } => say(
                "onnx/no-layers",
                "readings are of layers that have weights",
                "give the model that was trained, not its pre- or post-processing",
            ),
            OnnxError::Operations { .. } => {
                say("onnx/operations", "the runtime, tract, lacks these operations", OTHER)
            }
            OnnxError::Refused { .. } => {
                say("onnx/refused", "the runtime, tract, cannot run this graph", OTHER)
            }
            OnnxError::TooLarge { .. } => say(
                "onnx/too-large",
                "shapes follow from those of the inputs, and nothing is run that does not fit",
                "give a batch with smaller inputs: --batch FILE",
            ),
            OnnxError::MissingInput { .. } => of_batch(
                "onnx/missing-input",
                "arrays of a batch are found by the names of the model's inputs",
                "numpy.savez(FILE, NAME=array, …) with these names, labels under `labels`",
            ),
            OnnxError::InputShape { .. } => of_batch(
                "onnx/input-shape",
                "samples come first, then the shape of one as the model declares it",
                "give the array in the shape that the model takes",
            ),
            OnnxError::Batch { .. } => of_batch(
                "onnx/batch",
                "a batch is one array an input, all of the same number of samples",
                "numpy.savez(FILE, NAME=array, …), labels under `labels`",
            ),
            OnnxError::Probe(error) => error.explain(),
        }
    }
}

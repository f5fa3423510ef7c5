"""Hooks into PyTorch. Nothing here computes an observable: tensors become arrays, everything else is Rust. Only the directions of
`curvature` stay where the model is: they are as large as it.

| module | one job |
|---|---|
| `model` | unwrap a model, name its modules, say what each is |
| `batch` | a probe of any shape → inputs, labels, loss |
| `state` | leave everything exactly as it was found |
| `layout` | a tensor → samples × positions × units, at most so many |
| `graph` | what lies between an addition and the skip around it; what follows a layer |
| `reading` | one pass over the probe: what every module said, and the gradients |
| `weights` | norms of parameters, gradients and updates |
| `start` | the untrained model, kept until there is time to read it |
| `watch` | when to read; the recording |
| `trace`, `structure`, `branches`, `drawn`, `predict` | a transformer → its layers and the variances of its weights |
| `curvature` | the sharpest direction of the loss, gradients of the parts of a batch |
| `init` | critical initialisation |
| `groups` | rates for each layer |
"""

"""Which operators of the default ONNX domain run where: data that a test holds to the runtimes."""

from __future__ import annotations

# Operators that ONNX Runtime 1.32 has a CPU kernel for, or computes by other operators, between
# opset 17 and 21. Left out: random numbers, which no proof can hold; branches and loops, whose
# nodes no check of ours reads; sequences, optionals, strings, losses, and windows of audio.
KERNEL_OPS = frozenset(
    {
        "Abs", "Acos", "Acosh", "Add", "AffineGrid", "And", "ArgMax", "ArgMin", "Asin", "Asinh",
        "Atan", "Atanh", "AveragePool", "BatchNormalization", "BitShift", "BitwiseAnd",
        "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "CastLike", "Ceil", "Celu",
        "CenterCropPad", "Clip", "Col2Im", "Compress", "Concat", "Constant", "ConstantOfShape",
        "Conv", "ConvInteger", "ConvTranspose", "Cos", "Cosh", "CumSum", "DFT", "DeformConv",
        "DepthToSpace", "DequantizeLinear", "Det", "Div", "Dropout", "DynamicQuantizeLinear",
        "Einsum", "Elu", "Equal", "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "GRU",
        "Gather", "GatherElements", "GatherND", "Gelu", "Gemm", "GlobalAveragePool", "GlobalLpPool",
        "GlobalMaxPool", "Greater", "GreaterOrEqual", "GridSample", "GroupNormalization",
        "HardSigmoid", "HardSwish", "Hardmax", "Identity", "InstanceNormalization", "IsInf",
        "IsNaN", "LRN", "LSTM", "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log",
        "LogSoftmax", "LpNormalization", "LpPool", "MatMul", "MatMulInteger", "Max", "MaxPool",
        "MaxRoiPool", "MaxUnpool", "Mean", "MeanVarianceNormalization", "Min", "Mish", "Mod", "Mul",
        "Neg", "NonMaxSuppression", "NonZero", "Not", "OneHot", "Or", "PRelu", "Pad", "Pow",
        "QLinearConv", "QLinearMatMul", "QuantizeLinear", "RNN", "Range", "Reciprocal", "ReduceL1",
        "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
        "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Resize",
        "ReverseSequence", "RoiAlign", "Round", "ScatterElements", "ScatterND", "Selu", "Shape",
        "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Size", "Slice", "Softmax", "Softplus",
        "Softsign", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tan", "Tanh",
        "ThresholdedRelu", "Tile", "TopK", "Transpose", "Trilu", "Unique", "Unsqueeze", "Where",
        "Xor",
    }
)  # fmt: skip
# Arithmetic on constants: ONNX Runtime folds it when it loads a file, before it asks any provider
# what it takes, so no provider ever sees it.
FOLDED_OPS = frozenset(
    {
        "Add", "Cast", "Clip", "Concat", "Constant", "Conv", "Div", "Equal", "Expand", "Flatten",
        "Gather", "Identity", "Mul", "Reshape", "Round", "Slice", "Split", "Squeeze", "Sub", "Tile",
        "Transpose", "Unsqueeze",
    }
)  # fmt: skip
# What stands around every node that computes in integers.
INTEGER_OPS = frozenset({"QuantizeLinear", "DequantizeLinear"})
# What these two take, from the tables of onnxruntime 1.32's usability checker, quantized operators
# left out; a test holds them against the tables of the onnxruntime that is installed.
NNAPI_OPS = frozenset(
    {
        "Abs", "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Conv",
        "DepthToSpace", "Div", "Elu", "Exp", "Flatten", "Floor", "Gather", "Gemm",
        "GlobalAveragePool", "GlobalMaxPool", "Identity", "LRN", "LeakyRelu", "Log", "MatMul",
        "Max", "MaxPool", "Min", "Mul", "Neg", "PRelu", "Pad", "Pow", "ReduceMean", "Relu",
        "Reshape", "Resize", "Sigmoid", "Sin", "Slice", "Softmax", "Split", "Sqrt", "Squeeze",
        "Sub", "Tanh", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
COREML_OPS = frozenset(
    {
        "Add", "And", "AveragePool", "Cast", "Ceil", "Clip", "Concat", "Conv", "ConvTranspose",
        "Cos", "DepthToSpace", "Div", "Elu", "Erf", "Exp", "GatherND", "Gelu", "Gemm",
        "GlobalAveragePool", "GlobalMaxPool", "GridSample", "GroupNormalization", "HardSigmoid",
        "Identity", "InstanceNormalization", "LayerNormalization", "LeakyRelu", "MatMul", "Max",
        "MaxPool", "Mul", "PRelu", "Pow", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceSum",
        "Relu", "Reshape", "Resize", "Round", "Shape", "Sigmoid", "Sin", "Slice", "Softmax",
        "Softplus", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Tile", "Transpose", "Unsqueeze",
        "Where",
    }
)  # fmt: skip

//! Small networks made here, as ONNX files.

use prost::Message;
use worker::infer::onnx::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorType, TypeProto, ValueInfoProto,
};

/// ONNX's numbers of types.
pub const UINT8: i32 = 2;
pub const INT8: i32 = 3;
pub const INT32: i32 = 6;

/// A model that grows node by node.
pub struct Draft {
    pub model: ModelProto,
    seed: u32,
}

pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, ..Default::default() }
}
pub fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: ints.to_vec(), ..Default::default() }
}
pub fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f, ..Default::default() }
}
pub fn text(name: &str, s: &str) -> AttributeProto {
    AttributeProto { name: name.into(), s: s.as_bytes().to_vec(), ..Default::default() }
}

impl Draft {
    /// An image goes in and comes out.
    pub fn new() -> Self {
        let side = |value| Dimension { dim_value: value };
        let dim = vec![side(Some(1)), side(Some(3)), side(None), side(None)];
        let tensor_type = Some(TensorType { elem_type: 1, shape: Some(TensorShapeProto { dim }) });
        let r#type = Some(TypeProto { tensor_type });
        let value = |name: &str| ValueInfoProto { name: name.into(), r#type: r#type.clone() };
        let (input, output) = (vec![value("image")], vec![value("result")]);
        let graph = Some(GraphProto { input, output, ..Default::default() });
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
        Self { model: ModelProto { opset_import, graph, ..Default::default() }, seed: 1 }
    }

    pub fn graph(&mut self) -> &mut GraphProto {
        self.model.graph.as_mut().unwrap()
    }

    /// A node whose output has its name.
    pub fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) -> &mut Self {
        let node = NodeProto {
            input: inputs.iter().map(|name| (*name).into()).collect(),
            output: vec![output.into()],
            name: output.into(),
            op_type: operator.into(),
            attribute,
            ..Default::default()
        };
        self.graph().node.push(node);
        self
    }

    /// Weights around 0, always the same ones.
    pub fn weights(&mut self, name: &str, dims: &[i64], size: f32) -> &mut Self {
        let count = dims.iter().product::<i64>();
        let float_data = (0..count).map(|_| {
            self.seed = self.seed.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            ((self.seed >> 8) as f32 / (1 << 23) as f32 - 1.0) * size
        });
        let float_data = float_data.collect();
        let (name, dims) = (name.into(), dims.to_vec());
        let tensor = TensorProto { name, dims, data_type: 1, float_data, ..Default::default() };
        self.graph().initializer.push(tensor);
        self
    }

    pub fn wholes(&mut self, name: &str, values: &[i64]) -> &mut Self {
        let tensor = TensorProto {
            name: name.into(),
            dims: vec![values.len() as i64],
            data_type: 7,
            int64_data: values.to_vec(),
            ..Default::default()
        };
        self.graph().initializer.push(tensor);
        self
    }

    pub fn floats(&mut self, name: &str, values: &[f32]) -> &mut Self {
        let tensor = TensorProto {
            name: name.into(),
            dims: vec![values.len() as i64],
            data_type: 1,
            float_data: values.to_vec(),
            ..Default::default()
        };
        self.graph().initializer.push(tensor);
        self
    }

    pub fn scalar(&mut self, name: &str, value: f32) -> &mut Self {
        self.floats(name, &[value]).graph().initializer.last_mut().unwrap().dims.clear();
        self
    }

    /// Whole numbers of a type, all over its bytes, always the same ones.
    pub fn numbers(&mut self, name: &str, data_type: i32, dims: &[i64]) -> &mut Self {
        let count = dims.iter().product::<i64>();
        let int32_data = (0..count).map(|_| {
            self.seed = self.seed.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            let number = (self.seed >> 24) as i32;
            if data_type == UINT8 { number } else { number - 128 }
        });
        let int32_data = int32_data.collect();
        let (name, dims) = (name.into(), dims.to_vec());
        self.graph().initializer.push(TensorProto {
            name,
            dims,
            data_type,
            int32_data,
            ..Default::default()
        });
        self
    }

    /// One whole number of a type.
    pub fn number(&mut self, name: &str, data_type: i32, value: i32) -> &mut Self {
        let (name, int32_data) = (name.into(), vec![value]);
        self.graph().initializer.push(TensorProto {
            name,
            data_type,
            int32_data,
            ..Default::default()
        });
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.model.encode_to_vec()
    }
}

/// Convolutions one after the other, with blocks of channels that make pairs and some that do not,
/// wide kernels, dilation, groups; each is followed by something. What follows is a step of its own
/// where `apart`: twice negated, which changes no bit, a sum has no follower that its pass can do.
pub fn convolutions(apart: bool) -> Vec<u8> {
    let mut draft = Draft::new();
    let layers = [
        ("1", [16_i64, 3, 3, 3], 1_i64, "PRelu", vec![]),
        ("2", [24, 16, 5, 5], 2, "LeakyRelu", vec![float("alpha", 0.25)]),
        ("3", [32, 12, 3, 3], 2, "Clip", vec![]),
        ("4", [20, 32, 1, 1], 0, "Relu", vec![]),
        ("5", [3, 20, 9, 9], 4, "LeakyRelu", vec![float("alpha", -1.5)]),
    ];
    draft.weights("slopes", &[16, 1, 1], 1.5).scalar("low", -0.5).scalar("high", 0.75);
    let mut before = "image".to_owned();
    for (nth, dims, pad, follows, attributes) in layers {
        let [weights, made] = ["w", "c"].map(|what| format!("{what}{nth}"));
        let result = if nth == "5" { "result".to_owned() } else { format!("r{nth}") };
        let mut own =
            vec![ints("pads", &[pad; 4]), int("group", if dims[1] == 12 { 2 } else { 1 })];
        if dims[1] == 12 {
            own.push(ints("dilations", &[2, 2]));
        }
        draft.weights(&weights, &dims, 1.0 / (dims[1] * dims[2]) as f32);
        draft.node("Conv", &[&before, &weights], &made, own);
        let made = set_apart(&mut draft, made, apart);
        let inputs = match follows {
            "PRelu" => vec![&made[..], "slopes"],
            "Clip" => vec![&made[..], "low", "high"],
            _ => vec![&made[..]],
        };
        draft.node(follows, &inputs, &result, attributes);
        before = result;
    }
    draft.bytes()
}

fn set_apart(draft: &mut Draft, made: String, apart: bool) -> String {
    if !apart {
        return made;
    }
    let [once, twice] = ["n", "m"].map(|what| format!("{what}{made}"));
    draft.node("Neg", &[&made], &once, vec![]);
    draft.node("Neg", &[&once], &twice, vec![]);
    twice
}

/// What networks do after convolutions place by place: gates by the sum itself, attention over
/// another tensor, chains of four, numbers of each channel on either side. `apart` as above.
pub fn attention(apart: bool) -> Vec<u8> {
    let mut draft = Draft::new();
    let convolution = |draft: &mut Draft, from: &str, name: &str, dims: [i64; 4]| {
        let weights = format!("w{name}");
        draft.weights(&weights, &dims, 2.0 / (dims[1] * dims[2]) as f32);
        draft.node("Conv", &[from, &weights], name, vec![ints("pads", &[dims[2] / 2; 4])]);
        set_apart(draft, name.to_owned(), apart)
    };
    let a = convolution(&mut draft, "image", "a", [12, 3, 3, 3]);
    draft.node("Sigmoid", &[&a], "gate", vec![]).node("Mul", &[&a, "gate"], "gated", vec![]);
    let b = convolution(&mut draft, "gated", "b", [12, 12, 3, 3]);
    draft
        .scalar("half", 0.5)
        .node("Sigmoid", &[&b], "share", vec![])
        .node("Sub", &["share", "half"], "centred", vec![])
        .node("Add", &[&b, "gated"], "sum", vec![])
        .node("Mul", &["sum", "centred"], "attended", vec![]);
    let c = convolution(&mut draft, "attended", "c", [16, 12, 1, 1]);
    draft
        .weights("shift", &[16, 1, 1], 0.5)
        .node("Tanh", &[&c], "bent", vec![])
        .node("Sub", &["shift", "bent"], "shifted", vec![])
        .node("Mul", &["shifted", "shifted"], "square", vec![])
        .node("LeakyRelu", &["square"], "leaked", vec![float("alpha", 0.25)]);
    let d = convolution(&mut draft, "leaked", "d", [3, 16, 3, 3]);
    draft.node("Add", &["image", &d], "result", vec![]);
    draft.bytes()
}

/// Bytes all the way: convolutions with signed weights, in groups, dilated, with weights above 128,
/// and a product of matrices. Where zero points are not known beforehand, which changes no bit,
/// nothing is packed.
pub fn quantized(is_known: bool) -> Vec<u8> {
    let mut draft = Draft::new();
    draft.scalar("scale", 1.0 / 255.0).scalar("small", 0.004).number("none", INT8, 0);
    if is_known {
        draft.number("zero", UINT8, 37);
    } else {
        draft
            .scalar("nought", 0.0)
            .scalar("seven", 37.0)
            .node("ReduceMean", &["image"], "mean", vec![int("keepdims", 0)])
            .node("Mul", &["mean", "nought"], "nothing", vec![])
            .node("Add", &["nothing", "seven"], "number", vec![])
            .node("Cast", &["number"], "zero", vec![int("to", i64::from(UINT8))]);
    }
    draft
        .node("QuantizeLinear", &["image", "scale", "zero"], "q", vec![])
        .numbers("w1", INT8, &[16, 3, 3, 3])
        .numbers("b1", INT32, &[16])
        .node(
            "QLinearConv",
            &["q", "scale", "zero", "w1", "small", "none", "scale", "zero", "b1"],
            "c1",
            vec![ints("pads", &[1; 4])],
        )
        .numbers("w2", INT8, &[12, 8, 3, 3])
        .node(
            "QLinearConv",
            &["c1", "scale", "zero", "w2", "small", "none", "scale", "zero"],
            "c2",
            vec![ints("pads", &[2; 4]), ints("dilations", &[2, 2]), int("group", 2)],
        )
        .numbers("w3", UINT8, &[3, 12, 1, 1])
        .number("middle", UINT8, 128)
        .node("ConvInteger", &["c2", "w3", "zero", "middle"], "c3", vec![])
        .node("Cast", &["c3"], "wide", vec![int("to", 1)])
        .scalar("tiny", 1e-5)
        .node("Mul", &["wide", "tiny"], "first", vec![])
        .node("Transpose", &["c2"], "turned", vec![ints("perm", &[0, 2, 3, 1])])
        .numbers("w4", INT8, &[12, 3])
        .node(
            "QLinearMatMul",
            &["turned", "scale", "zero", "w4", "small", "none", "scale", "zero"],
            "product",
            vec![],
        )
        .node("Transpose", &["product"], "back", vec![ints("perm", &[0, 3, 1, 2])])
        .node("DequantizeLinear", &["back", "scale", "zero"], "second", vec![])
        .node("Add", &["first", "second"], "result", vec![]);
    draft.bytes()
}

/// Down, up, a skip, dilation, a shuffle: twice as large.
pub fn hourglass() -> Vec<u8> {
    let mut draft = Draft::new();
    draft
        .weights("w1", &[8, 3, 3, 3], 0.3)
        .weights("b1", &[8], 0.1)
        .node("Conv", &["image", "w1", "b1"], "c1", vec![ints("pads", &[1; 4])])
        .node("Relu", &["c1"], "r1", vec![])
        .node(
            "MaxPool",
            &["r1"],
            "down",
            vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])],
        )
        .weights("w2", &[6, 8, 3, 3], 0.2)
        .node(
            "Conv",
            &["down", "w2"],
            "c2",
            vec![ints("pads", &[2; 4]), ints("dilations", &[2, 2])],
        )
        .node("LeakyRelu", &["c2"], "r2", vec![float("alpha", 0.1)])
        .floats("twice", &[1.0, 1.0, 2.0, 2.0])
        .node(
            "Resize",
            &["r2", "", "twice"],
            "up",
            vec![
                text("mode", "nearest"),
                text("coordinate_transformation_mode", "asymmetric"),
                text("nearest_mode", "floor"),
            ],
        )
        .node("Concat", &["up", "r1"], "joined", vec![int("axis", 1)])
        .weights("slope", &[14, 1, 1], 0.4)
        .node("PRelu", &["joined", "slope"], "sloped", vec![])
        .weights("w3", &[12, 14, 1, 1], 0.3)
        .node("Conv", &["sloped", "w3"], "c3", vec![])
        .node("DepthToSpace", &["c3"], "result", vec![int("blocksize", 2), text("mode", "CRD")]);
    draft.bytes()
}

/// Edges mirrored, strides, a transposed convolution, gates, cubic enlargement, groups.
pub fn gates() -> Vec<u8> {
    let mut draft = Draft::new();
    draft
        .wholes("edges", &[0, 0, 2, 2, 0, 0, 2, 2])
        .node("Pad", &["image", "edges"], "padded", vec![text("mode", "reflect")])
        .weights("w1", &[6, 3, 4, 4], 0.2)
        .node(
            "Conv",
            &["padded", "w1"],
            "c1",
            vec![ints("strides", &[2, 2]), ints("pads", &[0, 0, 0, 0])],
        )
        .node("Sigmoid", &["c1"], "gate", vec![])
        .node("Mul", &["c1", "gate"], "gated", vec![])
        .weights("w2", &[6, 3, 3, 3], 0.2)
        .node("Conv", &["gated", "w2"], "c2", vec![ints("pads", &[1; 4]), int("group", 2)])
        .weights("w3", &[6, 3, 4, 4], 0.2)
        .node(
            "ConvTranspose",
            &["c2", "w3"],
            "up",
            vec![ints("strides", &[2, 2]), ints("pads", &[2; 4])],
        )
        .node("Tanh", &["up"], "t", vec![])
        .node("Add", &["t", "image"], "sum", vec![])
        .floats("larger", &[1.0, 1.0, 2.0, 2.0])
        .node("Resize", &["sum", "", "larger"], "large", vec![text("mode", "cubic")])
        .node(
            "AveragePool",
            &["large"],
            "result",
            vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1; 4])],
        );
    draft.bytes()
}

/// Statistics of the whole image decide every place.
pub fn normalized() -> Vec<u8> {
    let mut draft = Draft::new();
    draft
        .weights("scale", &[3], 1.0)
        .weights("bias", &[3], 0.5)
        .node("InstanceNormalization", &["image", "scale", "bias"], "even", vec![])
        .node("GlobalAveragePool", &["image"], "mean", vec![])
        .node("Add", &["even", "mean"], "sum", vec![])
        .node("Softmax", &["sum"], "result", vec![int("axis", 1)]);
    draft.bytes()
}

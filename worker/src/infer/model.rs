//! A model as its file has it, within limits: nodes in order, weights, names and shapes of what
//! goes in. A stranger wrote it, so everything is checked here. Knows no kernel.

use super::ModelError;
use super::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::tensor::{RANK_MAX, Tensor, Type};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// Most bytes of a model's file.
pub const BYTES_MAX: usize = 1 << 29;
/// Most nodes of a model.
pub const NODES_MAX: usize = 20_000;
/// Most tensors in the file, those in attributes included.
pub const TENSORS_MAX: usize = 50_000;
/// Most values that a node reads or writes, and most attributes.
pub const FAN_MAX: usize = 1024;
/// Operator sets that are understood.
pub const OPSETS: std::ops::RangeInclusive<i64> = 9..=23;

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    pub float: f32,
    pub int: i64,
    pub text: String,
    pub floats: Vec<f32>,
    pub ints: Vec<i64>,
    pub tensor: Option<Tensor>,
}

/// One operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// As messages name it: its own name, or its place.
    pub name: String,
    pub operator: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: BTreeMap<String, Attribute>,
}

/// Something that goes in, with the dimensions that the file fixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    pub name: String,
    pub kind: Type,
    pub shape: Vec<Option<usize>>,
}

/// A model.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub opset: i64,
    pub nodes: Vec<Node>,
    pub weights: BTreeMap<String, Tensor>,
    pub inputs: Vec<Input>,
    pub outputs: Vec<String>,
}

impl Model {
    /// Reads a file's bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        if bytes.len() > BYTES_MAX {
            let what = format!("the model has {} bytes; up to {BYTES_MAX} are meant", bytes.len());
            return Err(ModelError::new(what));
        }
        let proto = ModelProto::decode(bytes)
            .map_err(|error| ModelError::new(format!("this is no ONNX file: {error}")))?;
        let opset = opset(&proto)?;
        if let Some(function) = proto.functions.first() {
            let what = format!("the model defines a function `{}`; inline it", function.name);
            return Err(ModelError::new(what));
        }
        let graph = proto.graph.unwrap_or_default();
        count(&graph)?;
        let mut weights = BTreeMap::new();
        for tensor in &graph.initializer {
            weights.insert(tensor.name.clone(), Tensor::read(tensor, &tensor.name)?);
        }
        let given = graph.input.iter().filter(|input| !weights.contains_key(&input.name));
        let inputs = given.map(input).collect::<Result<Vec<_>, _>>()?;
        let nodes = (graph.node.iter().enumerate())
            .map(|(at, proto)| node(at, proto))
            .collect::<Result<Vec<_>, _>>()?;
        let outputs = graph.output.iter().map(|output| output.name.clone()).collect();
        let model = Self { opset, nodes, weights, inputs, outputs };
        model.check_order()?;
        Ok(model)
    }

    /// Every value is made before it is read (ONNX IR specification), so that there is no cycle.
    fn check_order(&self) -> Result<(), ModelError> {
        let weights = self.weights.keys().map(String::as_str);
        let inputs = self.inputs.iter().map(|input| input.name.as_str());
        let mut known: BTreeSet<&str> = weights.chain(inputs).chain([""]).collect();
        for node in &self.nodes {
            if let Some(input) = node.inputs.iter().find(|input| !known.contains(input.as_str())) {
                return Err(ModelError::new(format!(
                    "node `{}` ({}) reads `{input}`, which nothing before it makes: the graph has \
                     a cycle or is out of order",
                    node.name, node.operator
                )));
            }
            for output in node.outputs.iter().filter(|output| !output.is_empty()) {
                if !known.insert(output) {
                    let what = format!("`{output}` is made twice, again by node `{}`", node.name);
                    return Err(ModelError::new(what));
                }
            }
        }
        match self.outputs.iter().find(|output| !known.contains(output.as_str())) {
            Some(output) => Err(ModelError::new(format!("nothing makes the output `{output}`"))),
            None if self.outputs.is_empty() => Err(ModelError::new("the model has no output")),
            None => Ok(()),
        }
    }
}

fn opset(proto: &ModelProto) -> Result<i64, ModelError> {
    let own = proto.opset_import.iter().find(|set| is_standard(&set.domain));
    match own.map(|set| set.version) {
        Some(version) if OPSETS.contains(&version) => Ok(version),
        version => Err(ModelError::new(format!(
            "the model's operator set is {}; those from {} to {} are understood",
            version.unwrap_or_default(),
            OPSETS.start(),
            OPSETS.end()
        ))),
    }
}

fn is_standard(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

fn count(graph: &GraphProto) -> Result<(), ModelError> {
    let refuse = |what: &str, count: usize, most: usize| {
        Err(ModelError::new(format!("the model has {count} {what}; up to {most} are meant")))
    };
    let inside = graph.node.iter().flat_map(|node| &node.attribute).filter(|own| own.t.is_some());
    let tensors = graph.initializer.len() + inside.count();
    if graph.node.len() > NODES_MAX {
        return refuse("nodes", graph.node.len(), NODES_MAX);
    }
    if tensors > TENSORS_MAX {
        return refuse("tensors", tensors, TENSORS_MAX);
    }
    let fan = |node: &NodeProto| node.input.len().max(node.output.len()).max(node.attribute.len());
    match graph.node.iter().map(fan).max() {
        Some(fan) if fan > FAN_MAX => refuse("values at one node", fan, FAN_MAX),
        _ => Ok(()),
    }
}

fn input(proto: &ValueInfoProto) -> Result<Input, ModelError> {
    let refuse = |why: &str| ModelError::new(format!("input `{}` {why}", proto.name));
    let tensor = proto.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| refuse("is no tensor"))?;
    let kind = Type::of_onnx(tensor.elem_type)
        .ok_or_else(|| refuse(&format!("has elements of type {}", tensor.elem_type)))?;
    let dims = tensor.shape.as_ref().map(|shape| &shape.dim[..]).unwrap_or_default();
    if dims.len() > RANK_MAX {
        return Err(refuse(&format!("has {} dimensions, not up to {RANK_MAX}", dims.len())));
    }
    let fixed = |dim: Option<i64>| dim.and_then(|dim| usize::try_from(dim).ok()).filter(|n| *n > 0);
    let shape = dims.iter().map(|dim| fixed(dim.dim_value)).collect();
    Ok(Input { name: proto.name.clone(), kind, shape })
}

fn node(at: usize, proto: &NodeProto) -> Result<Node, ModelError> {
    let name = if proto.name.is_empty() { format!("#{at}") } else { proto.name.clone() };
    if !is_standard(&proto.domain) {
        return Err(ModelError::new(format!(
            "node `{name}` is the operator {} of `{}`; only ONNX's own operators are run",
            proto.op_type, proto.domain
        )));
    }
    let mut attributes = BTreeMap::new();
    for own in &proto.attribute {
        attributes.insert(own.name.clone(), attribute(&name, &proto.op_type, own)?);
    }
    Ok(Node {
        name,
        operator: proto.op_type.clone(),
        inputs: proto.input.clone(),
        outputs: proto.output.clone(),
        attributes,
    })
}

fn attribute(node: &str, operator: &str, proto: &AttributeProto) -> Result<Attribute, ModelError> {
    if proto.g.is_some() {
        return Err(ModelError::new(format!(
            "node `{node}` ({operator}) holds a graph of its own; unroll it before export"
        )));
    }
    let numbers = proto.floats.iter().chain([&proto.f]);
    if numbers.into_iter().any(|number| !number.is_finite()) {
        let what = format!("node `{node}` ({operator}): `{}` is no finite number", proto.name);
        return Err(ModelError::new(what));
    }
    let inside = format!("{node}.{}", proto.name);
    Ok(Attribute {
        float: proto.f,
        int: proto.i,
        text: String::from_utf8_lossy(&proto.s).into_owned(),
        floats: proto.floats.clone(),
        ints: proto.ints.clone(),
        tensor: proto.t.as_ref().map(|tensor| Tensor::read(tensor, &inside)).transpose()?,
    })
}

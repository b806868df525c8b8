//! Reads batches of tensors that a user orders with: NumPy's `.npy` and `.npz`, and `.safetensors`.
//! Runs where the order is made, never on a stranger's worker.

use super::image::{Image, PIXELS_MAX, Samples};
use safetensors::{Dtype, SafeTensors};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Most numbers in a batch: a gibibyte of them.
const ELEMENTS_MAX: u64 = 1 << 28;
/// Most bytes of the text before an array.
const HEADER_MAX: u32 = 1 << 16;
/// Names that are listed where one has to be chosen.
const NAMES_SHOWN: usize = 16;

/// A tensor in row-major order.
struct Array {
    shape: Vec<u64>,
    samples: Samples,
}

/// Whether the file is a batch by its ending.
pub fn is_batch(path: &Path) -> bool {
    ending(path).is_some()
}

fn ending(path: &Path) -> Option<Kind> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "npy" => Some(Kind::Npy),
        "npz" => Some(Kind::Npz),
        "safetensors" => Some(Kind::Safetensors),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Npy,
    Npz,
    Safetensors,
}

/// Reads the images of a batch, in order: `[N, C, H, W]`, `[N, H, W, C]`, either without `N`, or
/// `[H, W]`, with one or three channels. Numbers with a point are taken as they are, bytes as those
/// of a picture. Of several tensors the one called `name` is read. The error names the file.
pub fn open(path: &Path, name: &str) -> Result<Vec<Image>, String> {
    let read = || match ending(path) {
        Some(Kind::Npy) => npy(BufReader::new(File::open(path).map_err(said)?)),
        Some(Kind::Npz) => npz(path, name),
        Some(Kind::Safetensors) => safetensors(path, name),
        None => Err("ends neither with .npy nor .npz nor .safetensors".into()),
    };
    read().and_then(images).map_err(|why| format!("{}: {why}", path.display()))
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The tensor to read: the only one, or the one with this name.
fn chosen<'a>(names: &'a [&str], name: &str) -> Result<&'a str, String> {
    match names {
        [] => Err("holds no tensor".into()),
        [only] => Ok(only),
        _ => names.iter().find(|own| **own == name).copied().ok_or_else(|| {
            let shown = names[..names.len().min(NAMES_SHOWN)].join(", ");
            format!(
                "holds {} tensors ({shown}) and none is called `{name}`, as the model's input",
                names.len()
            )
        }),
    }
}

fn npz(path: &Path, name: &str) -> Result<Array, String> {
    let file = BufReader::new(File::open(path).map_err(said)?);
    let mut archive = zip::ZipArchive::new(file).map_err(said)?;
    let names = archive.file_names().map(|name| name.map(|name| name.into_owned()));
    let names: Vec<String> = names.collect::<Result<_, _>>().map_err(said)?;
    let names: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".npy")).collect();
    let name = chosen(&names, name)?;
    npy(archive.by_name(&format!("{name}.npy")).map_err(said)?)
}

/// Reads one array (NumPy's format specification, `numpy.lib.format`, versions 1 to 3).
fn npy(mut reader: impl Read) -> Result<Array, String> {
    let header = header(&mut reader)?;
    let field = |name: &str| {
        let (_, rest) = header.split_once(&format!("'{name}':"))?;
        Some(rest.trim_start())
    };
    let quoted = field("descr").and_then(|rest| rest.strip_prefix('\'')?.split('\'').next());
    let kind = quoted.ok_or("holds records, no numbers")?;
    if !field("fortran_order").is_some_and(|rest| rest.starts_with("False")) {
        return Err("lies in Fortran's order; save numpy.ascontiguousarray(it)".into());
    }
    let sides = field("shape").and_then(|rest| rest.strip_prefix('(')?.split(')').next());
    let sides = sides.ok_or("has no shape")?.split(',').map(str::trim);
    let sides = sides.filter(|side| !side.is_empty()).map(str::parse);
    let shape: Vec<u64> = sides.collect::<Result<_, _>>().map_err(said)?;
    let elements = within(&shape)?;
    let width = match kind {
        "|u1" => 1,
        "<f2" => 2,
        "<f4" => 4,
        "<f8" => 8,
        other => return Err(format!("holds numbers of the kind {other}; {KINDS}")),
    };
    let mut data = Vec::new();
    reader.take(elements * width).read_to_end(&mut data).map_err(said)?;
    if data.len() as u64 != elements * width {
        return Err(format!("ends after {} of {} bytes", data.len(), elements * width));
    }
    let samples = match width {
        1 => Samples::Bytes(data),
        2 => Samples::Floats(numbers(&data, |word| half::f16::from_le_bytes(word).to_f32())),
        4 => Samples::Floats(numbers(&data, f32::from_le_bytes)),
        _ => Samples::Floats(numbers(&data, |word| f64::from_le_bytes(word) as f32)),
    };
    Ok(Array { shape, samples })
}

/// The text before an array's numbers.
fn header(reader: &mut impl Read) -> Result<String, String> {
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(said)?;
    if !start.starts_with(b"\x93NUMPY") {
        return Err("is no NumPy array".into());
    }
    let mut length = [0; 4];
    let field = if start[6] == 1 { &mut length[..2] } else { &mut length[..] };
    reader.read_exact(field).map_err(said)?;
    let length = u32::from_le_bytes(length);
    if length > HEADER_MAX {
        return Err(format!("has a header of {length} bytes; up to {HEADER_MAX} are meant"));
    }
    let mut text = vec![0; length as usize];
    reader.read_exact(&mut text).map_err(said)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

const KINDS: &str = "little-endian float16, float32, float64 and uint8 are read";

fn safetensors(path: &Path, name: &str) -> Result<Array, String> {
    let size = std::fs::metadata(path).map_err(said)?.len();
    let most = ELEMENTS_MAX * 8;
    if size > most {
        return Err(format!("has {size} bytes; up to {most} are meant"));
    }
    let bytes = std::fs::read(path).map_err(said)?;
    let file = SafeTensors::deserialize(&bytes).map_err(said)?;
    let name = chosen(&file.names(), name)?.to_owned();
    let tensor = file.tensor(&name).map_err(said)?;
    let shape: Vec<u64> = tensor.shape().iter().map(|side| *side as u64).collect();
    within(&shape)?;
    let data = tensor.data();
    let floats = match tensor.dtype() {
        Dtype::U8 => return Ok(Array { shape, samples: Samples::Bytes(data.to_vec()) }),
        Dtype::F16 => numbers(data, |word| half::f16::from_le_bytes(word).to_f32()),
        Dtype::BF16 => numbers(data, |word| half::bf16::from_le_bytes(word).to_f32()),
        Dtype::F32 => numbers(data, f32::from_le_bytes),
        Dtype::F64 => numbers(data, |word| f64::from_le_bytes(word) as f32),
        other => return Err(format!("holds {other:?}; bfloat16, {KINDS}")),
    };
    Ok(Array { shape, samples: Samples::Floats(floats) })
}

fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|word| number(*word)).collect()
}

/// Checks sizes before memory is taken.
fn within(shape: &[u64]) -> Result<u64, String> {
    let elements = shape.iter().try_fold(1_u64, |all, side| all.checked_mul(*side));
    match elements {
        Some(0) => Err(format!("is empty: {shape:?}")),
        Some(elements) if elements <= ELEMENTS_MAX => Ok(elements),
        _ => Err(format!("is {shape:?}: up to {ELEMENTS_MAX} numbers are meant")),
    }
}

/// How a tensor's axes lie: images, channels, rows, columns, and whether channels come last.
fn layout(shape: &[u64]) -> Result<([usize; 4], bool), String> {
    let is_color = |side: u64| side == 1 || side == 3;
    let axes = match *shape {
        [n, c, h, w] if is_color(c) => ([n, c, h, w], false),
        [n, h, w, c] if is_color(c) => ([n, c, h, w], true),
        [c, h, w] if is_color(c) => ([1, c, h, w], false),
        [h, w, c] if is_color(c) => ([1, c, h, w], true),
        [h, w] => ([1, 1, h, w], false),
        _ => {
            return Err(format!(
                "is {shape:?}; meant are [N, C, H, W], [N, H, W, C], [C, H, W], [H, W, C] or \
                 [H, W] with 1 or 3 channels"
            ));
        }
    };
    let ([_, _, rows, columns], _) = axes;
    let pixels = rows.checked_mul(columns).filter(|pixels| *pixels <= PIXELS_MAX);
    if pixels.is_none() || u32::try_from(rows).is_err() || u32::try_from(columns).is_err() {
        return Err(format!("has images of {columns}×{rows}: up to {PIXELS_MAX} pixels are meant"));
    }
    Ok((axes.0.map(|side| side as usize), axes.1))
}

fn images(array: Array) -> Result<Vec<Image>, String> {
    let (axes, last) = layout(&array.shape)?;
    match &array.samples {
        Samples::Bytes(bytes) => Ok(cut(bytes, axes, last, Samples::Bytes)),
        Samples::Floats(floats) => {
            if let Some(at) = floats.iter().position(|value| !value.is_finite()) {
                return Err(format!("number {at} is {}: only finite ones are meant", floats[at]));
            }
            Ok(cut(floats, axes, last, Samples::Floats))
        }
    }
}

/// Images of three interleaved channels; a single one is repeated.
fn cut<T: Copy>(
    values: &[T],
    [_, channels, rows, columns]: [usize; 4],
    last: bool,
    samples: impl Fn(Vec<T>) -> Samples,
) -> Vec<Image> {
    let pixels = rows * columns;
    let image = |values: &[T]| {
        let at = |pixel: usize, channel: usize| {
            let channel = channel.min(channels - 1);
            values[if last { pixel * channels + channel } else { channel * pixels + pixel }]
        };
        let all = (0..pixels).flat_map(|pixel| [0, 1, 2].map(|channel| at(pixel, channel)));
        let samples = samples(all.collect());
        Image { width: columns as u32, height: rows as u32, samples }
    };
    values.chunks_exact(channels * pixels).map(image).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::path::PathBuf;

    /// A `.npy` file, version 1 (NumPy's format specification).
    fn npy_bytes(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
        header.extend(std::iter::repeat_n(' ', 63 - (header.len() + 10) % 64));
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn floats(count: usize) -> Vec<u8> {
        (0..count).flat_map(|n| (n as f32).to_le_bytes()).collect()
    }

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    fn read(name: &str, bytes: &[u8]) -> Result<Vec<Image>, String> {
        let (_dir, path) = file(name, bytes);
        open(&path, "color")
    }

    #[test]
    fn arrays_of_either_layout_become_images() {
        let planes =
            read("a.npy", &npy_bytes("<f4", "False", "(2, 3, 1, 2)", &floats(12))).unwrap();
        assert_eq!(planes.len(), 2);
        assert_eq!((planes[0].width, planes[0].height), (2, 1));
        assert_eq!(planes[1].samples, Samples::Floats(vec![6.0, 8.0, 10.0, 7.0, 9.0, 11.0]));
        let last = read("a.npy", &npy_bytes("|u1", "False", "(2, 1, 3)", &[1, 2, 3, 4, 5, 6]));
        assert_eq!(last.unwrap()[0].samples, Samples::Bytes(vec![1, 2, 3, 4, 5, 6]));
        let half = [half::f16::from_f32(0.5), half::f16::from_f32(-2.0)];
        let half: Vec<u8> = half.iter().flat_map(|value| value.to_le_bytes()).collect();
        let grey = read("a.npy", &npy_bytes("<f2", "False", "(1, 2)", &half)).unwrap();
        assert_eq!(grey[0].samples, Samples::Floats(vec![0.5, 0.5, 0.5, -2.0, -2.0, -2.0]));
    }

    fn archive(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, bytes) in files {
            let options = zip::write::SimpleFileOptions::default();
            let packed = options.compression_method(zip::CompressionMethod::Deflated);
            writer.start_file(*name, packed).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn of_several_tensors_the_input_s_own_is_read() {
        let (color, other) = (floats(12), floats(3));
        let view = |data, shape: Vec<usize>| {
            safetensors::tensor::TensorView::new(Dtype::F32, shape, data).unwrap()
        };
        let both = [("color", view(&color, vec![1, 3, 2, 2])), ("x", view(&other, vec![3, 1, 1]))];
        let bytes = safetensors::serialize(both, None).unwrap();
        let found = read("a.safetensors", &bytes).unwrap();
        assert_eq!((found.len(), found[0].width), (1, 2));
        let (_dir, path) = file("a.safetensors", &bytes);
        let error = open(&path, "normal").unwrap_err();
        assert!(error.contains("none is called `normal`") && error.contains("color"), "{error}");
        let color = npy_bytes("<f4", "False", "(3, 2, 2)", &color);
        let other = npy_bytes("<f4", "False", "(3, 1, 1)", &other);
        let bytes = archive(&[("x.npy", other), ("color.npy", color)]);
        assert_eq!(read("a.npz", &bytes).unwrap(), found);
    }

    #[test]
    fn what_is_no_batch_of_images_is_refused_with_the_reason() {
        let nan: Vec<u8> = [1.0, f32::NAN, 0.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        for (bytes, due) in [
            (npy_bytes("<f4", "True", "(3, 1, 1)", &floats(3)), "Fortran"),
            (npy_bytes("<i8", "False", "(3, 1, 1)", &floats(6)), "of the kind <i8"),
            (npy_bytes("<f4", "False", "(3, x)", &[]), "invalid digit"),
            (npy_bytes("<f4", "False", "(2, 5, 7, 9)", &floats(630)), "[N, C, H, W]"),
            (npy_bytes("<f4", "False", "(3, 1, 1)", &nan), "number 1 is NaN"),
            (npy_bytes("<f4", "False", "(3, 0, 1)", &[]), "is empty"),
            (npy_bytes("<f4", "False", "(9999999, 3, 99999, 99999)", &[]), "numbers are meant"),
            (npy_bytes("<f4", "False", "(18446744073709551615, 3, 2, 2)", &[]), "are meant"),
            (npy_bytes("<f4", "False", "(3, 4, 4)", &floats(5)), "ends after 20 of 192 bytes"),
            (b"no array".to_vec(), "a.npy"),
        ] {
            let error = read("a.npy", &bytes).unwrap_err();
            assert!(error.contains(due), "`{due}` is due: {error}");
        }
        assert!(read("a.npz", b"no archive").is_err());
        assert!(read("a.npz", &archive(&[])).unwrap_err().contains("holds no tensor"));
        assert!(read("a.safetensors", &[0xff; 64]).is_err());
    }
}

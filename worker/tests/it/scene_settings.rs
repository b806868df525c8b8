//! Settings: what they choose, how they travel, and what is said of other programs' files.

use crate::scene_draft::{Draft, VIEW, write};
use serde_json::json;
use worker::render::scene::{Bundle, LightUnit, Scene, SceneError, Settings, load};

fn drawn(draft: &Draft, settings: Settings) -> Result<Scene, SceneError> {
    let (_folder, path) = write(&draft.glb());
    load(&Bundle::open(&path)?.with(settings)?, None, VIEW)
}

fn refused(draft: &Draft, settings: Settings) -> String {
    drawn(draft, settings).expect_err("the setting is refused").to_string()
}

fn named(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[test]
fn settings_travel_in_the_manifest() {
    let draft = Draft::quad();
    let (_folder, path) = write(&draft.glb());
    let settings = Settings {
        light_unit: Some(LightUnit::Watts),
        variant: named("a blue one"),
        clip: named("Run"),
        camera: named("2"),
        scene: named("Küche"),
        f_stop: Some(2.8),
        focus: Some(3.25),
        clamp: Some(10.0),
        shutter: Some(0.5),
        motion_steps: Some(4),
    };
    let bundle = Bundle::open(&path).unwrap().with(settings.clone()).unwrap();
    let (manifest, entries) = bundle.manifest().unwrap();
    let text = std::str::from_utf8(&manifest).unwrap();
    let first: Vec<_> = text.lines().take(11).collect();
    assert_eq!(
        first,
        [
            "girih-bundle 1",
            "set light-unit watts",
            "set variant a blue one",
            "set clip Run",
            "set camera 2",
            "set scene Küche",
            "set f-stop 2.8",
            "set focus 3.25",
            "set clamp 10",
            "set shutter 0.5",
            "set motion-steps 4",
        ]
    );
    let read = Bundle::read(&manifest, |_| Ok(entries[0].path.as_path().into())).unwrap();
    assert_eq!(read.settings(), &settings);
    assert_ne!(manifest, Bundle::gather(&path).unwrap().0, "another setting, another scene");
}

#[test]
fn settings_that_cannot_be_are_named() {
    for (line, words) in [
        ("set light-unit candles", "line 2: `candles` is no setting of `light-unit`"),
        ("set volume 11", "line 2: `11` is no setting of `volume`"),
        ("set motion-steps 0", "line 2: `0` motion steps: a number from 1 to 32 is meant"),
        ("set f-stop 0", "line 2: `0` is no f-stop: a number from 0.001 to 1000000 is meant"),
        ("set clamp NaN", "line 2: `NaN` is no clamp: a number"),
        ("set clip ", "line 2: the setting of `clip` is empty"),
        ("set clip", "line 2: the setting of `clip` is empty"),
    ] {
        let manifest = format!("girih-bundle 1\n{line}\n");
        let text = Bundle::read(manifest.as_bytes(), |_| Ok("x".into())).unwrap_err().to_string();
        assert!(text.contains(words), "{text}");
    }
    let draft = Draft::quad();
    for clip in ["a\nset variant b", "", &"x".repeat(300)] {
        let text = refused(&draft, Settings { clip: named(clip), ..Settings::default() });
        assert!(text.contains("is empty, longer than 256 bytes or has a control"), "{text}");
    }
}

/// A quad with two variants, two cameras, two scenes.
fn choices() -> Draft {
    let mut draft = Draft::quad();
    draft.json["materials"] = json!([{"emissiveFactor": [1, 1, 1]}, {"emissiveFactor": [0, 0, 1]}]);
    draft.json["extensions"] =
        json!({"KHR_materials_variants": {"variants": [{"name": "day"}, {"name": "night"}]}});
    draft.json["meshes"][0]["primitives"][0]["extensions"] = json!({"KHR_materials_variants":
        {"mappings": [{"material": 1, "variants": [1]}]}});
    draft.json["nodes"].as_array_mut().unwrap().push(json!({
        "name": "top", "camera": 0, "translation": [0, 9, 0]}));
    draft.json["scenes"] = json!([{"nodes": [0, 1, 2]}, {"name": "bare", "nodes": [0]}]);
    draft
}

#[test]
fn variants_cameras_and_scenes_are_chosen_by_name_or_number() {
    let draft = choices();
    let plain = drawn(&draft, Settings::default()).unwrap();
    assert_eq!((plain.triangles[0].material, plain.cameras[0].position), (0, [0.0, 0.0, 3.0]));
    let note = "2 material variants (`day`, `night`): the default one is drawn";
    assert!(plain.notes.iter().any(|said| said == note), "{:?}", plain.notes);
    for variant in ["night", "1"] {
        let settings = Settings { variant: named(variant), ..Settings::default() };
        assert_eq!(drawn(&draft, settings).unwrap().triangles[0].material, 1);
    }
    for camera in ["top", "1"] {
        let settings = Settings { camera: named(camera), ..Settings::default() };
        assert_eq!(drawn(&draft, settings).unwrap().cameras[0].position, [0.0, 9.0, 0.0]);
    }
    let settings = Settings { scene: named("bare"), ..Settings::default() };
    let notes = drawn(&draft, settings).unwrap().notes;
    assert!(notes.contains(&"scene 1 of 2 is drawn".to_owned()), "{notes:?}");
    for (settings, words) in [
        (
            Settings { variant: named("dusk"), ..Settings::default() },
            "there is no variant `dusk`; it has 2: `day`, `night`",
        ),
        (
            Settings { camera: named("3"), ..Settings::default() },
            "there is no camera `3`; it has 2: 0, `top`",
        ),
        (
            Settings { scene: named("2"), ..Settings::default() },
            "there is no scene `2`; it has 2: 0, `bare`",
        ),
        (
            Settings { clip: named("Run"), ..Settings::default() },
            "there is no clip `Run`; it has 0: ",
        ),
    ] {
        let text = refused(&draft, settings);
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn one_clip_plays_if_it_is_chosen() {
    let mut draft = Draft::quad();
    let bytes: Vec<u8> =
        [0.0f32, 7.0, 0.0, 0.0, 0.0, 8.0, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = draft.append(&bytes);
    for (offset, count, kind) in [(0, 1, "SCALAR"), (4, 1, "VEC3"), (16, 1, "VEC3")] {
        draft.json["accessors"].as_array_mut().unwrap().push(json!({"bufferView": view,
            "byteOffset": offset, "componentType": 5126, "count": count, "type": kind}));
    }
    let clip = |name: &str, output: u32| {
        json!({"name": name, "samplers": [{"input": 4, "output": output}],
            "channels": [{"sampler": 0, "target": {"node": 1, "path": "translation"}}]})
    };
    draft.json["animations"] = json!([clip("walk", 5), clip("jump", 6)]);
    let settings = Settings { clip: named("walk"), ..Settings::default() };
    let scene = drawn(&draft, settings).unwrap();
    assert_eq!(scene.cameras[0].position, [7.0, 0.0, 0.0]);
    assert!(scene.notes.contains(&"clip `walk` of 2 plays".to_owned()), "{:?}", scene.notes);
    let scene = drawn(&draft, Settings::default()).unwrap();
    assert_eq!(scene.cameras[0].position, [0.0, 8.0, 0.0]);
}

#[test]
fn light_units_follow_the_setting_then_the_program() {
    let mut draft = Draft::quad();
    draft.json["extensions"] =
        json!({"KHR_lights_punctual": {"lights": [{"type": "point", "intensity": 1366}]}});
    draft.json["nodes"][1]["extensions"] = json!({"KHR_lights_punctual": {"light": 0}});
    for (generator, unit, power, words) in [
        ("", None, 1366.0, "candela and lux count as W/sr and W/m²"),
        ("", Some(LightUnit::Lumens), 2.0, "divided by 683 lm/W, as set"),
        ("Khronos glTF Blender I/O v4.5", None, 2.0, "the file is from Blender"),
        ("Khronos glTF Blender I/O v4.5", Some(LightUnit::Watts), 1366.0, "as set"),
    ] {
        draft.json["asset"]["generator"] = json!(generator);
        let settings = Settings { light_unit: unit, ..Settings::default() };
        let scene = drawn(&draft, settings).unwrap();
        assert!((scene.lights[0].color[0] - power).abs() < 1e-3);
        assert!(scene.notes.iter().any(|note| note.contains(words)), "{:?}", scene.notes);
    }
}

#[test]
fn what_blender_leaves_out_is_said_aloud() {
    let mut draft = Draft::quad();
    for name in ["Area", "Area.001", "Areal"] {
        draft.json["nodes"].as_array_mut().unwrap().push(json!({"name": name}));
    }
    draft.json["scenes"][0]["nodes"] = json!([0, 1, 2, 3, 4]);
    assert!(draft.load().unwrap().notes.iter().all(|note| !note.contains("Blender")));
    draft.json["asset"]["generator"] = json!("Khronos glTF Blender I/O v4.5");
    let notes = draft.load().unwrap().notes;
    let said = |words: &str| notes.iter().filter(|note| note.contains(words)).count();
    assert_eq!(said("looks like an area light"), 2, "{notes:?}");
    assert_eq!(said("leaves the World out: give its picture as the environment"), 1);
}

#[test]
fn a_lens_is_as_wide_as_its_f_number_says() {
    let lens = Settings { f_stop: Some(2.0), focus: Some(3.0), ..Settings::default() };
    let camera = drawn(&Draft::quad(), lens.clone()).unwrap().cameras[0];
    let tangent = camera.right.iter().chain(&camera.up).fold(0.0, |most: f32, x| most.max(x.abs()));
    // 36 mm of sensor; the lens is half its focal length wide.
    assert!((camera.lens_radius - 0.018 / tangent / 4.0).abs() < 1e-6, "{camera:?}");
    assert_eq!(camera.focus, 3.0);
    let text = refused(&Draft::quad(), Settings { focus: None, ..lens.clone() });
    assert!(text.contains("set the focus, in metres"), "{text}");
    let mut parallel = Draft::quad();
    parallel.json["cameras"] = json!([{"type": "orthographic",
        "orthographic": {"xmag": 1, "ymag": 1, "znear": 0, "zfar": 9}}]);
    let text = refused(&parallel, lens);
    assert!(text.contains("orthographic and has no lens"), "{text}");
}

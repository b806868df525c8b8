//! What a job of inference carries: the manifest and the images.
#![no_main]

use libfuzzer_sys::fuzz_target;
use worker::infer::image::Image;
use worker::infer::order::Order;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(order) = Order::read(bytes) {
        assert_eq!(Order::read(order.to_text().as_bytes()), Ok(order));
    }
    if let Ok(image) = Image::read(bytes) {
        let again = Image::read(&image.to_bytes()).expect("what was written is read");
        assert_eq!(again.to_bytes(), image.to_bytes());
    }
});

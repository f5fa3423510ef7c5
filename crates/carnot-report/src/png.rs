//! Report or chart → PNG, by way of its SVG. Letters are those of DejaVu Sans, carried along: no font of the machine is asked for.

use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb::Database};

use crate::report::Report;
use crate::svg::sheet::sheet;

/// Pixels per CSS pixel.
const SCALE: f32 = 2.0;

/// Tallest picture, in pixels; a longer one is drawn smaller.
const TALLEST: f32 = 16_000.0;

/// The report as one picture, see [`sheet`].
///
/// # Errors
/// What the drawing library says; our own pictures give it no reason.
pub fn render(report: &Report) -> Result<Vec<u8>, String> {
    of_svg(&sheet(report))
}

/// Any SVG of ours.
///
/// # Errors
/// As [`render`].
pub fn of_svg(svg: &str) -> Result<Vec<u8>, String> {
    let options = Options { fontdb: fonts(), font_family: "DejaVu Sans".into(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| error.to_string())?;
    let size = tree.size();
    let scale = SCALE.min(TALLEST / size.height());
    let side = |length: f32| (length * scale).ceil().max(1.0) as u32;
    let mut picture =
        Pixmap::new(side(size.width()), side(size.height())).ok_or("a picture without pixels")?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut picture.as_mut());
    picture.encode_png().map_err(|error| error.to_string())
}

fn fonts() -> Arc<Database> {
    static FONTS: OnceLock<Arc<Database>> = OnceLock::new();
    let load = || {
        let mut fonts = Database::new();
        fonts.load_font_data(dejavu::sans::regular().to_vec());
        fonts.load_font_data(dejavu::sans::bold().to_vec());
        fonts.set_sans_serif_family("DejaVu Sans");
        Arc::new(fonts)
    };
    FONTS.get_or_init(load).clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn a_report_becomes_a_picture_with_letters_in_it() {
        let png = render(&example::check()).unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let picture = Pixmap::decode_png(&png).unwrap();
        assert!(picture.width() > 1000 && picture.height() > 1000);
        // The verdict's red is on it: letters are outlines, which only a font gives.
        let red =
            picture.pixels().iter().filter(|p| (p.red(), p.green(), p.blue()) == (0xB3, 0x26, 0x1E)).count();
        assert!(red > 500, "{red} pixels of the verdict's colour");
    }
}

//! Damaged clips: refused, or shown as far as they can be decoded.

use std::path::Path;

use image::RgbImage;
use orthoformer::Result;
use orthoformer_video::views::{Sampling, ViewSpec, ViewStream};
use orthoformer_video::{Clip, Damage};

use crate::clips::{folder, good, refusal, written};
use crate::real_clips::{body, shipped, word};

/// Frames and notes of a clip of which damage is left out.
pub fn tolerated(path: &Path) -> (Vec<RgbImage>, Vec<String>) {
    let mut clip = Clip::open_with(path, Damage::LeftOut).expect("something is whole");
    let frames = clip.by_ref().collect::<Result<_>>().expect("damage is left out");
    (frames, clip.notes())
}

#[test]
fn damaged_h264_is_refused_or_shown_as_far_as_it_goes() {
    let (folder, whole) = (folder(), good("cut_from_ts.mp4"));
    let mut bytes = shipped("cut_from_ts.mp4");
    let (sizes, chunks) = (body(&bytes, b"stsz"), body(&bytes, b"stco"));
    let sizes: Vec<i32> = (0..35).map(|sample| word(&bytes, sizes + 12 + 4 * sample)).collect();
    let start = word(&bytes, chunks + 8) as usize;
    // The sixth picture's first unit is longer than the picture; decoding starts anew with the fifteenth.
    let at = start + sizes[..5].iter().sum::<i32>() as usize;
    bytes[at] = 0xff;
    let path = written(&folder, "damaged.mp4", &bytes);
    assert_eq!(refusal(&path), "CLIP: damaged H.264: picture 5 is cut off inside a unit");
    let (found, notes) = tolerated(&path);
    assert!(found.len() < 33 && found.len() >= 20, "{}", found.len());
    let expected = format!(
        "Damaged: of 33 pictures {} are left out, the first of them for this: damaged H.264: picture 5",
        33 - found.len()
    );
    assert!(notes.len() == 1 && notes[0].starts_with(&expected), "{notes:?}");
    assert_eq!((&found[0], &found[found.len() - 15..]), (&whole[0], &whole[18..]));
    // Views are spread over what is left.
    let spec = ViewSpec { damage: Damage::LeftOut, ..ViewSpec::new(Sampling::in_segments(4), "1x1".parse().expect("right"), 16) };
    let mut stream = ViewStream::open(&path, &spec).expect("some of it is whole");
    assert_eq!((stream.source().frames, stream.by_ref().filter(Result::is_ok).count()), (found.len(), 1));
    assert_eq!(stream.notes(), notes);
    // Nothing is left of a clip that is cut off in its first picture.
    let end = start + 20;
    let cut = [&bytes[..end], &shipped("cut_from_ts.mp4")[bytes.len() - 1202..]].concat();
    assert!(Clip::open_with(&written(&folder, "cut.mp4", &cut), Damage::LeftOut).is_err());
}

#[test]
fn damaged_pictures_of_a_folder_are_left_out() {
    let folder = folder();
    for index in 0..6u8 {
        RgbImage::from_pixel(20, 20, image::Rgb([index; 3])).save(folder.path().join(format!("{index}.png"))).expect("writable");
    }
    for name in ["0.png", "4.png"] {
        written(&folder, name, b"\x89PNG, or so it says");
    }
    let (found, notes) = tolerated(folder.path());
    assert_eq!(found.iter().map(|frame| frame.get_pixel(0, 0).0[0]).collect::<Vec<_>>(), [1, 2, 3, 5]);
    assert!(notes.len() == 1 && notes[0].starts_with("Damaged: of 6 pictures 2 are left out, "), "{notes:?}");
    assert!(notes[0].contains("0.png"), "{notes:?}");
    (0..6).for_each(|index| drop(written(&folder, &format!("{index}.png"), b"\x89PNG, or so it says")));
    assert!(Clip::open_with(folder.path(), Damage::LeftOut).is_err(), "nothing is left");
}

#[test]
fn damaged_animations_are_shown_up_to_the_damage() {
    let folder = folder();
    let bytes = shipped("ball.gif");
    let path = written(&folder, "cut.gif", &bytes[..bytes.len() / 2]);
    assert!(refusal(&path).contains("truncated"));
    let (found, notes) = tolerated(&path);
    assert_eq!(found, good("ball.gif")[..found.len()]);
    assert!(found.len() >= 3 && notes.len() == 1, "{notes:?}");
    assert!(notes[0].starts_with(&format!("Damaged: only the first {} frames are shown", found.len())), "{notes:?}");
}

//! The files: what `ffmpeg` is told, one line each.
//!
//! Tiny and short, since what matters is their structure.

use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use super::on_all_cores;

/// A file made by `ffmpeg`, and what `ffprobe` says about it.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) probed: Value,
}

/// All files, made by the first test that asks.
pub(crate) static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    on_all_cores(RECIPES, |(name, recipe)| {
        let path = folder.path().join(name);
        let out = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-y", "-threads", "1"])
            .args(words(recipe))
            .arg(&path)
            .output()
            .expect("these tests need ffmpeg");
        assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
        let out = Command::new("ffprobe")
            .args(["-v", "error", "-of", "json", "-show_streams", "-show_format"])
            .arg(&path)
            .output()
            .expect("these tests need ffprobe");
        let probed = serde_json::from_slice(&out.stdout).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a file that this test made")]
        Sample { name, bytes: std::fs::read(&path).unwrap(), probed }
    })
});

/// The words of a recipe, with its abbreviations written out.
fn words(recipe: &str) -> Vec<String> {
    recipe
        .split_whitespace()
        .flat_map(|word| {
            match word {
                "VIDEO" => "-f lavfi -i testsrc=s=64x48:r=10:d=1",
                "LONG" => "-f lavfi -i testsrc=s=64x48:r=10:d=12",
                "ONE" => "-f lavfi -i testsrc=s=64x48:r=10:d=0.1",
                "ODD" => "-f lavfi -i testsrc=s=51x37:r=10:d=0.5",
                "WIDE" => "-f lavfi -i testsrc=s=640x360:r=25:d=1",
                "NOISE" => "-f lavfi -i testsrc=s=320x240:r=10:d=0.5,noise=alls=100",
                "SOUND" => "-f lavfi -i sine=d=1",
                "X264" => "-c:v libx264 -preset ultrafast -pix_fmt yuv420p",
                "X265" => "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=none:pools=none",
                "VP8" => "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 100k",
                "VP9" => "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 100k",
                "AV1" => "-c:v libaom-av1 -cpu-used 8 -usage realtime -b:v 100k",
                other => other,
            }
            .split(' ')
        })
        .map(str::to_owned)
        .collect()
}

const RECIPES: &[(&str, &str)] = &[
    ("h264.mp4", "VIDEO X264"),
    ("h264_aac.mp4", "VIDEO SOUND X264 -c:a aac"),
    ("h264_faststart.mp4", "VIDEO SOUND X264 -c:a aac -movflags +faststart"),
    ("h264_faststart_mute.mp4", "VIDEO X264 -movflags +faststart"),
    ("h264_bframes.mp4", "VIDEO -c:v libx264 -preset medium -bf 3 -pix_fmt yuv420p"),
    ("h264_bframes_aac.mp4", "VIDEO SOUND -c:v libx264 -preset medium -bf 3 -pix_fmt yuv420p -c:a aac"),
    ("h264_one_frame.mp4", "ONE X264"),
    ("h264_long.mp4", "LONG X264 -g 20"),
    ("h264_long_faststart.mp4", "LONG X264 -g 20 -movflags +faststart"),
    ("h264_odd.mp4", "ODD -c:v libx264 -preset ultrafast -pix_fmt yuv444p"),
    ("h264_wide.mp4", "WIDE X264 -movflags +faststart"),
    ("h264_delayed.mp4", "-itsoffset 0.5 VIDEO SOUND X264 -c:a aac"),
    ("h264_no_edits.mp4", "VIDEO SOUND -c:v libx264 -bf 2 -pix_fmt yuv420p -c:a aac -use_editlist 0"),
    ("h264_mp3.mp4", "VIDEO SOUND X264 -c:a libmp3lame"),
    ("h264_opus.mp4", "VIDEO SOUND X264 -c:a libopus"),
    ("h264_flac.mp4", "VIDEO SOUND X264 -c:a flac -strict -2"),
    ("h264_ac3.mp4", "VIDEO SOUND X264 -c:a ac3"),
    ("h264_two_sounds.mp4", "VIDEO SOUND SOUND -map 0 -map 1 -map 2 X264 -c:a aac"),
    ("h264_rotated.mp4", "VIDEO X264 -metadata:s:v rotate=90"),
    ("h264_variable.mp4", "VIDEO -vf select='not(eq(n,3))' -vsync vfr X264"),
    ("h264_timescale.mp4", "VIDEO X264 -video_track_timescale 90000"),
    ("h264_avc3.mp4", "VIDEO X264 -tag:v avc3"),
    (
        "h264_subtitled.mp4",
        "VIDEO -f lavfi -i anullsrc=d=1 X264 -c:a aac -metadata title=Hello -metadata comment=World",
    ),
    ("h264_intra.mp4", "VIDEO X264 -g 1"),
    ("h264_120fps.mp4", "-f lavfi -i testsrc=s=64x48:r=120:d=1 X264"),
    ("h264_frag.mp4", "VIDEO X264 -g 5 -movflags +frag_keyframe+empty_moov"),
    ("h264_frag_aac.mp4", "VIDEO SOUND X264 -g 5 -c:a aac -movflags +frag_keyframe+empty_moov+default_base_moof"),
    ("h264_frag_plain.mp4", "VIDEO SOUND X264 -g 5 -c:a aac -movflags +frag_keyframe"),
    ("h264_cmaf.mp4", "VIDEO X264 -g 5 -movflags +cmaf+frag_keyframe+empty_moov"),
    ("h264_dash.mp4", "VIDEO X264 -g 5 -movflags +dash+frag_keyframe+empty_moov"),
    ("h264_global_sidx.mp4", "VIDEO X264 -g 5 -movflags +global_sidx+dash+frag_keyframe+empty_moov"),
    (
        "h264_delay_moov.mp4",
        "VIDEO SOUND -c:v libx264 -bf 2 -g 5 -pix_fmt yuv420p -c:a aac -movflags +delay_moov+frag_keyframe",
    ),
    ("h264_frag_duration.mp4", "LONG X264 -g 10 -frag_duration 500000 -movflags +empty_moov"),
    ("h264_frag_every_frame.mp4", "VIDEO X264 -movflags +frag_every_frame+empty_moov"),
    ("h264_separate_moof.mp4", "VIDEO SOUND X264 -g 5 -c:a aac -movflags +separate_moof+frag_keyframe+empty_moov"),
    ("h264_omit_offset.mp4", "VIDEO X264 -g 5 -movflags +omit_tfhd_offset+frag_keyframe+empty_moov"),
    (
        "h264_negative_offsets.mp4",
        "VIDEO -c:v libx264 -bf 2 -g 5 -pix_fmt yuv420p -movflags +negative_cts_offsets+frag_keyframe+empty_moov",
    ),
    ("h264_ismv.ismv", "VIDEO SOUND X264 -g 5 -c:a aac"),
    ("h264_hybrid.mp4", "LONG X264 -g 20 -movflags +frag_keyframe"),
    ("h264.mov", "VIDEO X264"),
    ("h264_pcm.mov", "VIDEO SOUND X264 -c:a pcm_s16le"),
    ("h264_aac.mov", "VIDEO SOUND X264 -c:a aac -movflags +faststart"),
    ("mjpeg.mov", "VIDEO -c:v mjpeg -pix_fmt yuvj420p"),
    ("prores.mov", "VIDEO -c:v prores_ks"),
    ("png.mov", "VIDEO -c:v png"),
    ("hevc.mp4", "VIDEO X265"),
    ("hevc_hvc1.mp4", "VIDEO SOUND X265 -tag:v hvc1 -c:a aac -movflags +faststart"),
    ("hevc_frag.mp4", "VIDEO X265 -movflags +frag_keyframe+empty_moov"),
    ("av1.mp4", "VIDEO AV1"),
    ("av1_frag.mp4", "VIDEO AV1 -movflags +frag_keyframe+delay_moov+default_base_moof"),
    ("vp9.mp4", "VIDEO VP9"),
    ("mpeg4.mp4", "VIDEO -c:v mpeg4"),
    ("mjpeg.mp4", "VIDEO -c:v mjpeg -pix_fmt yuvj420p"),
    ("mpeg2.mp4", "VIDEO -r 25 -c:v mpeg2video"),
    ("aac.m4a", "SOUND -c:a aac"),
    ("vp8.webm", "VIDEO VP8"),
    ("vp8_vorbis.webm", "VIDEO SOUND VP8 -c:a libvorbis"),
    ("vp8_live.webm", "VIDEO VP8 -live 1"),
    ("vp8_piped.webm", "VIDEO SOUND VP8 -c:a libopus -seekable 0"),
    ("vp9.webm", "VIDEO VP9"),
    ("vp9_opus.webm", "VIDEO SOUND VP9 -c:a libopus"),
    ("vp9_cues_first.webm", "VIDEO VP9 -cues_to_front 1"),
    ("vp9_dash.webm", "VIDEO VP9 -dash 1"),
    ("vp9_clusters.webm", "LONG VP9 -g 10 -cluster_time_limit 1000"),
    ("vp9_live_opus.webm", "LONG SOUND VP9 -g 10 -c:a libopus -live 1 -cluster_time_limit 1000"),
    ("vp9_one_frame.webm", "ONE VP9"),
    ("vp9_odd.webm", "ODD VP9"),
    ("av1.webm", "VIDEO AV1"),
    ("opus.webm", "SOUND -c:a libopus"),
    ("h264.mkv", "VIDEO X264"),
    ("h264_aac.mkv", "VIDEO SOUND X264 -c:a aac"),
    ("h264_long.mkv", "LONG X264 -g 20 -cluster_time_limit 500"),
    ("h264_bframes_flac.mkv", "VIDEO SOUND -c:v libx264 -bf 3 -pix_fmt yuv420p -c:a flac"),
    ("h264_live.mkv", "VIDEO X264 -live 1"),
    ("hevc_mp3.mkv", "VIDEO SOUND X265 -c:a libmp3lame"),
    ("mpeg4.mkv", "VIDEO -c:v mpeg4"),
    ("mjpeg_pcm.mkv", "VIDEO SOUND -c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s16le"),
    ("theora_vorbis.mkv", "VIDEO SOUND -c:v libtheora -pix_fmt yuv420p -c:a libvorbis"),
    ("animated.gif", "VIDEO"),
    ("still.gif", "ONE"),
    ("odd.gif", "ODD"),
    ("wide.gif", "WIDE"),
    ("fast.gif", "-f lavfi -i testsrc=s=64x48:r=50:d=0.4"),
    ("still.png", "ONE -frames:v 1"),
    ("wide.png", "WIDE -frames:v 1"),
    ("gray.png", "ODD -frames:v 1 -pix_fmt gray"),
    ("palette.png", "VIDEO -frames:v 1 -pix_fmt pal8"),
    ("deep.png", "VIDEO -frames:v 1 -pix_fmt rgba64be"),
    ("animated.png", "VIDEO -f apng"),
    ("still.jpg", "ONE -frames:v 1 -pix_fmt yuvj420p"),
    ("wide.jpg", "WIDE -frames:v 1 -pix_fmt yuvj422p -q:v 2"),
    ("gray.jpg", "ODD -frames:v 1 -pix_fmt gray"),
    ("lossy.webp", "ONE -frames:v 1 -c:v libwebp"),
    ("lossless.webp", "ODD -frames:v 1 -c:v libwebp -lossless 1"),
    ("alpha.webp", "VIDEO -frames:v 1 -c:v libwebp -pix_fmt yuva420p"),
    ("wide.webp", "WIDE -frames:v 1 -c:v libwebp"),
    ("noise.png", "NOISE -frames:v 1"),
    ("noise.jpg", "NOISE -frames:v 1 -pix_fmt yuvj444p -q:v 1"),
    ("noise.webp", "NOISE -frames:v 1 -c:v libwebp -lossless 1"),
    ("noise.gif", "NOISE"),
    ("noise.webm", "NOISE VP9 -b:v 9M -live 1"),
    ("animated.webp", "VIDEO -c:v libwebp_anim"),
];

//! `--timeline` and `--pcap`: a bring-up that is written down while it runs.

use std::io;
use std::path::Path;

use super::args::Files;
use super::exit::Exit;
use super::output::Output;
use crate::record::timeline::Timeline;
use crate::record::{Recorder, text};

/// When the chart is shown at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// If it goes into a file, too.
    WithFile,
    /// Always: the demonstration is there to be looked at.
    Always,
}

/// Runs a bring-up with its recorder, if anybody wants one, and shows what that wrote down.
pub fn around(
    files: &Files,
    show: Show,
    title: &str,
    output: &mut Output,
    run: impl FnOnce(&mut Output) -> Exit,
) -> Exit {
    let Files { timeline, pcap } = files;
    let chart = timeline.is_some() || show == Show::Always;
    if !chart && pcap.is_none() {
        return run(output);
    }
    let recorder = Recorder::new(title);
    type Begin = fn(&Recorder, &Path) -> io::Result<()>;
    let begin: [(_, Begin); 2] = [(timeline, Recorder::draw_into), (pcap, Recorder::capture_into)];
    for (path, begin) in begin {
        let Some(path) = path else { continue };
        if let Err(error) = begin(&recorder, path) {
            cannot_write(output, path, &error);
            return Exit::Usage;
        }
    }
    output.record_into(recorder.clone());
    let exit = run(output);
    recorder.end(u64::try_from(output.elapsed().as_micros()).unwrap_or(u64::MAX));
    recorder.write();
    let record = recorder.record();
    if chart && !record.moments.is_empty() {
        output.say("");
        output.say(&text::draw(&Timeline::of(&record)));
    }
    match recorder.take_failure() {
        None => exit,
        Some((path, error)) => {
            cannot_write(output, &path, &error);
            // What was asked for is not there, however well the rest went.
            if exit == Exit::Done { Exit::Unknown } else { exit }
        }
    }
}

fn cannot_write(output: &mut Output, path: &Path, error: &io::Error) {
    let what = format!("the file {}", path.display());
    output.problem(what, error.to_string(), "name another place, or make room");
}

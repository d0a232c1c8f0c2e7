//! A [`Timeline`] as SVG, for a light page and for a dark one.
//!
//! From left to right is time. Packets are arrows between two rails, this machine above and the
//! network below; their labels stand under the lane as stairs, so that neither two labels nor a label
//! and somebody else's line ever meet. Labels are in a monospaced face, whose width is known.

use std::fmt::Write as _;

use bringup_core::state::SystemState;

use super::timeline::{Kind, Lane, LaneKind, Mark, Scale, Timeline};

const WIDTH: f64 = 1_080.0;
/// Where the plot begins; the names of the lanes stand before it.
const LEFT: f64 = 96.0;
/// Room behind the plot for the label of the last mark.
const RIGHT: f64 = 262.0;
const PLOT: f64 = WIDTH - LEFT - RIGHT;
/// Where the strip that says who was waited for begins, and how high it is.
const STRIP: (f64, f64) = (74.0, 18.0);
/// The height of a line of labels.
const LINE: f64 = 15.0;
/// The most lines of labels in a lane.
const LINES_MAX: usize = 16;
/// How many of the labels of marks at one place are written.
const CROWD: usize = 6;
/// The width of a character of a label; no monospaced face in use is wider.
const CHARACTER: f64 = 6.75;

const STYLE: &str = "\
text{font:11px ui-monospace,SFMono-Regular,Menlo,'DejaVu Sans Mono',Consolas,monospace;fill:#1f2328}\
.h{font:600 16px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}\
.n{font:600 12px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}\
.p{font:12px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}\
.d{fill:#59636e}.m{text-anchor:middle}.e{text-anchor:end}\
.bg{fill:#fff}.g{stroke:#d1d9e0;stroke-width:1}.r{stroke:#aeb8c1;stroke-width:1}\
.l{stroke:#8c959f;stroke-width:.8;stroke-dasharray:1.5 2}\
.s{stroke:#0969da;fill:#0969da}.v{stroke:#1a7f37;fill:#1a7f37}.a{stroke-width:1.4}\
.o{fill:#9a6700}.u{fill:#1a7f37}.t{fill:#1f2328}.f{stroke:#1f2328;stroke-width:1.2}\
.w{fill-opacity:.13}.c{fill-opacity:.55}\
.w0{fill:#8250df}.w1{fill:#bf8700}.w2{fill:#cf222e}.w3{fill:#1b7c83}.w4{fill:#57606a}\
@media(prefers-color-scheme:dark){\
text{fill:#e6edf3}.d{fill:#9198a1}.bg{fill:#0d1117}.g{stroke:#2b323b}.r{stroke:#545d68}.l{stroke:#6e7681}\
.s{stroke:#58a6ff;fill:#58a6ff}.v{stroke:#3fb950;fill:#3fb950}\
.o{fill:#d29922}.u{fill:#3fb950}.t{fill:#e6edf3}.f{stroke:#e6edf3}\
.w{fill-opacity:.2}.c{fill-opacity:.7}\
.w0{fill:#a371f7}.w1{fill:#d29922}.w2{fill:#f85149}.w3{fill:#39c5cf}.w4{fill:#8b949e}}";

/// Draws a timeline.
pub fn draw(timeline: &Timeline) -> String {
    Drawing::new(timeline).finish()
}

/// Where a label goes.
#[derive(Clone, Debug, PartialEq)]
struct Placed {
    x: f64,
    line: usize,
    text: String,
    time: String,
    note: bool,
}

struct Drawing<'a> {
    timeline: &'a Timeline,
    scale: Scale,
    /// Everything but the shades of the waiting, which lie below it.
    out: String,
    y: f64,
}

impl<'a> Drawing<'a> {
    fn new(timeline: &'a Timeline) -> Self {
        let scale = timeline.scale();
        Self { timeline, scale, out: String::new(), y: STRIP.0 + STRIP.1 }
    }

    /// Where a time is.
    #[expect(clippy::cast_precision_loss, reason = "a pixel is coarser than that")]
    fn x(&self, t_us: u64) -> f64 {
        let Timeline { begin_us, end_us, .. } = *self.timeline;
        LEFT + PLOT * (t_us.saturating_sub(begin_us) as f64 / (end_us - begin_us) as f64)
    }

    fn put(&mut self, args: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.out.write_fmt(args);
        self.out.push('\n');
    }

    fn finish(mut self) -> String {
        for lane in &self.timeline.lanes {
            // That no callback was attached is not worth a lane; that no packet was sent is.
            if lane.kind != LaneKind::Callbacks || !lane.marks.is_empty() {
                self.lane(lane);
            }
        }
        let bottom = self.y;
        self.axis(bottom);
        let height = bottom + if self.timeline.left_out > 0 { 56.0 } else { 40.0 };
        let lanes = std::mem::take(&mut self.out);
        self.head();
        self.waits(bottom);
        let title = escaped(&self.timeline.title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
             <title>{title}: {}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"bg\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n{}{lanes}</svg>\n",
            self.timeline.verdict(),
            self.out,
        )
    }

    fn head(&mut self) {
        let (title, verdict) = (escaped(&self.timeline.title), self.timeline.verdict());
        self.put(format_args!(
            "<text class=\"h\" x=\"20\" y=\"32\">{title}<tspan class=\"d\" dx=\"10\">{verdict}\
             </tspan></text>"
        ));
        let (y, mut x) = (54.0, 20.0);
        self.put(format_args!("<text class=\"p d\" x=\"{x}\" y=\"{y}\">waited for</text>"));
        x += 76.0;
        let waited: Vec<(String, u64)> =
            self.timeline.waited().into_iter().map(|(who, us)| (who.to_owned(), us)).collect();
        if waited.is_empty() {
            self.put(format_args!("<text class=\"p\" x=\"{x}\" y=\"{y}\">nobody</text>"));
        }
        for (holder, for_us) in waited {
            let text = format!("{holder} {}", self.scale.with_unit(for_us));
            let (class, top) = (colour(&holder), y - 9.5);
            self.put(format_args!(
                "<rect class=\"{class} c\" x=\"{x}\" y=\"{top}\" width=\"11\" height=\"11\" rx=\"2\"/>\
                 <text x=\"{}\" y=\"{y}\">{}</text>",
                x + 16.0,
                escaped(&text)
            ));
            x += 16.0 + width(&text) + 18.0;
        }
        let x = WIDTH - 20.0;
        self.put(format_args!(
            "<text class=\"p d e\" x=\"{x}\" y=\"{y}\"><tspan class=\"s\" stroke=\"none\">↓</tspan> \
             sent <tspan class=\"v\" stroke=\"none\" dx=\"8\">↑</tspan> received</text>"
        ));
    }

    /// The strip that says who was waited for, and its shade over all lanes.
    fn waits(&mut self, bottom: f64) {
        let (top, height) = STRIP;
        self.put(format_args!(
            "<text class=\"n\" x=\"20\" y=\"{}\">waits for</text>",
            top + height - 5.0
        ));
        for wait in &self.timeline.waits {
            let (from, to) = (self.x(wait.from_us), self.x(wait.to_us));
            // Too short to be seen is drawn all the same.
            let (class, long) = (colour(&wait.holder), (to - from).max(1.0));
            self.put(format_args!(
                "<rect class=\"{class} w\" x=\"{from:.1}\" y=\"{}\" width=\"{long:.1}\" \
                 height=\"{:.1}\"/>\
                 <rect class=\"{class} c\" x=\"{from:.1}\" y=\"{top}\" width=\"{long:.1}\" \
                 height=\"{height}\"/>",
                top + height,
                bottom - top - height,
            ));
            if width(&wait.holder) + 8.0 <= long {
                self.put(format_args!(
                    "<text class=\"m\" x=\"{:.1}\" y=\"{}\">{}</text>",
                    from + long / 2.0,
                    top + height - 5.0,
                    escaped(&wait.holder)
                ));
            }
        }
    }

    fn axis(&mut self, y: f64) {
        let end = LEFT + PLOT;
        self.put(format_args!(
            "<line class=\"f\" x1=\"{LEFT}\" y1=\"{y}\" x2=\"{end}\" y2=\"{y}\"/>"
        ));
        let ticks = self.scale.ticks(self.timeline.begin_us, self.timeline.end_us, 12);
        for (t_us, text) in ticks {
            let x = self.x(t_us);
            self.put(format_args!(
                "<line class=\"f\" x1=\"{x:.1}\" y1=\"{y}\" x2=\"{x:.1}\" y2=\"{}\"/>\
                 <text class=\"d m\" x=\"{x:.1}\" y=\"{}\">{text}</text>",
                y + 5.0,
                y + 19.0
            ));
        }
        let unit = self.scale.unit();
        self.put(format_args!(
            "<text class=\"p d\" x=\"{}\" y=\"{}\">{unit} since the start</text>",
            end + 24.0,
            y + 19.0
        ));
        if self.timeline.left_out > 0 {
            let left_out = self.timeline.left_out;
            self.put(format_args!(
                "<text class=\"p d\" x=\"{LEFT}\" y=\"{}\">{left_out} more were not kept</text>",
                y + 38.0
            ));
        }
    }

    fn lane(&mut self, lane: &Lane) {
        let (y, top) = (self.y, self.y + 10.0);
        // How high what is drawn is, above the labels.
        let body = match lane.kind {
            LaneKind::Packets => 32.0,
            _ => 14.0,
        };
        self.put(format_args!(
            "<line class=\"g\" x1=\"20\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\"/>\
             <text class=\"n\" x=\"20\" y=\"{}\">{}</text>",
            WIDTH - 20.0,
            top + body / 2.0 + 4.0,
            lane.name,
        ));
        if let Some(interface) = &lane.interface {
            self.put(format_args!(
                "<text class=\"d\" x=\"20\" y=\"{}\">{}</text>",
                top + body / 2.0 + 18.0,
                escaped(&interface.chars().take(10).collect::<String>())
            ));
        }
        let (placed, unnamed) = self.place(&lane.marks);
        if unnamed > 0 {
            self.put(format_args!(
                "<text class=\"d\" x=\"20\" y=\"{}\">+{unnamed} unnamed</text>",
                top + body / 2.0 + 32.0
            ));
        }
        for Placed { x, line, .. } in &placed {
            #[expect(clippy::cast_precision_loss, reason = "a handful")]
            let to = top + body + LINE * (*line as f64) + 11.0;
            let from = top + body;
            self.put(format_args!(
                "<line class=\"l\" x1=\"{x:.1}\" y1=\"{from}\" x2=\"{x:.1}\" y2=\"{to}\"/>"
            ));
        }
        match lane.kind {
            LaneKind::Packets => self.packets(lane, top, body),
            LaneKind::Link => self.link(lane, top, body),
            LaneKind::States | LaneKind::Callbacks => self.points(lane, top, body),
        }
        for Placed { x, line, text, time, note } in &placed {
            #[expect(clippy::cast_precision_loss, reason = "a handful")]
            let y = top + body + LINE * (*line as f64) + 12.0;
            let class = if *note { " class=\"o\"" } else { "" };
            self.put(format_args!(
                "<text{class} x=\"{:.1}\" y=\"{y}\">{}<tspan class=\"d\" dx=\"6\">{time}</tspan></text>",
                x + 4.0,
                escaped(text)
            ));
        }
        let lines = placed.iter().map(|placed| placed.line + 1).max().unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let lines = lines as f64;
        self.y = top + body + LINE * lines + 10.0;
    }

    fn packets(&mut self, lane: &Lane, top: f64, body: f64) {
        let (end, bottom) = (LEFT + PLOT, top + body);
        self.put(format_args!(
            "<line class=\"r\" x1=\"{LEFT}\" y1=\"{top}\" x2=\"{end}\" y2=\"{top}\"/>\
             <line class=\"r\" x1=\"{LEFT}\" y1=\"{bottom}\" x2=\"{end}\" y2=\"{bottom}\"/>"
        ));
        for mark in &lane.marks {
            let x = self.x(mark.t_us);
            // The head is a triangle of its own: markers are drawn badly by half of all programs.
            let (class, from, to, head) = match mark.kind {
                Kind::Sent => ("s", top, bottom - 5.0, bottom),
                Kind::Received => ("v", bottom, top + 5.0, top),
                _ => {
                    self.put(format_args!(
                        "<circle class=\"o\" cx=\"{x:.1}\" cy=\"{top}\" r=\"4\"/>"
                    ));
                    continue;
                }
            };
            self.put(format_args!(
                "<path class=\"{class} a\" d=\"M{x:.1} {from}V{to}\"/>\
                 <path class=\"{class}\" stroke=\"none\" d=\"M{x:.1} {head}L{:.1} {base}H{:.1}Z\"/>",
                x - 3.5,
                x + 3.5,
                base = if head > to { head - 7.0 } else { head + 7.0 },
            ));
        }
    }

    /// A thick line while a carrier is there.
    fn link(&mut self, lane: &Lane, top: f64, body: f64) {
        let (y, end) = (top + body / 2.0, LEFT + PLOT);
        self.put(format_args!(
            "<line class=\"r\" x1=\"{LEFT}\" y1=\"{y}\" x2=\"{end}\" y2=\"{y}\"/>"
        ));
        let mut up = false;
        let mut since = LEFT;
        let ends = lane.marks.iter().map(|mark| (self.x(mark.t_us), Some(mark.kind)));
        for (x, kind) in ends.chain([(end, None)]).collect::<Vec<_>>() {
            if up {
                self.put(format_args!(
                    "<rect class=\"u\" x=\"{since:.1}\" y=\"{}\" width=\"{:.1}\" height=\"6\"/>",
                    y - 3.0,
                    x - since
                ));
            }
            since = x;
            up = kind == Some(Kind::Up);
        }
    }

    fn points(&mut self, lane: &Lane, top: f64, body: f64) {
        let (y, end) = (top + body / 2.0, LEFT + PLOT);
        self.put(format_args!(
            "<line class=\"r\" x1=\"{LEFT}\" y1=\"{y}\" x2=\"{end}\" y2=\"{y}\"/>"
        ));
        for mark in &lane.marks {
            let x = self.x(mark.t_us);
            let (class, radius) = match mark.kind {
                Kind::Posted => ("d", 3.0),
                Kind::Ran => ("u", 5.0),
                _ if mark.label == SystemState::Operational.name() => ("u", 5.0),
                _ => ("t", 3.0),
            };
            self.put(format_args!(
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y}\" r=\"{radius}\"/>"
            ));
        }
    }

    /// Gives labels their lines, from the right to the left: each takes the first on which it ends
    /// before the next one begins, so that earlier marks have lower lines and no line down to a label
    /// crosses another. Those for which there is none are counted.
    fn place(&self, marks: &[Mark]) -> (Vec<Placed>, usize) {
        let (mut placed, mut unnamed) = (Vec::new(), 0);
        let mut begins = [f64::INFINITY; LINES_MAX];
        for label in self.labels(marks).into_iter().rev() {
            // The time is six pixels off, the label four, and a bit of air after it.
            let end = label.x + 16.0 + width(&label.text) + width(&label.time);
            let Some(line) = begins.iter().position(|begin| end <= *begin) else {
                unnamed += 1;
                continue;
            };
            // Lines above are passed by this one's own line down: nothing may come there any more.
            for begin in begins.iter_mut().take(line + 1) {
                *begin = begin.min(label.x);
            }
            placed.push(Placed { line, ..label });
        }
        (placed, unnamed)
    }

    /// What is to be written: a crowd of marks at one place is told by its first and its last.
    fn labels(&self, marks: &[Mark]) -> Vec<Placed> {
        let label = |mark: &Mark| Placed {
            x: self.x(mark.t_us),
            line: 0,
            text: mark.label.clone(),
            time: self.scale.number(mark.t_us),
            note: mark.kind == Kind::Note,
        };
        let mut labels = Vec::new();
        // The goal has a label of its own, however near the rest is.
        let near = |a: &Mark, b: &Mark| {
            self.x(b.t_us) - self.x(a.t_us) < 3.0 && b.label != SystemState::Operational.name()
        };
        for crowd in marks.chunk_by(near) {
            let states = crowd.iter().all(|mark| mark.kind == Kind::State);
            match crowd {
                // States that are passed at once are one step.
                [first, .., last] if states => labels.push(Placed {
                    text: format!("{} … {}", first.label, last.label),
                    ..label(last)
                }),
                [first, second, third, middle @ .., last] if crowd.len() > CROWD => {
                    labels.extend([first, second, third].map(label));
                    let text = format!("… {} more", middle.len());
                    let at = middle.last().unwrap_or(last);
                    labels.push(Placed { text, ..label(at) });
                    labels.push(label(last));
                }
                all => labels.extend(all.iter().map(label)),
            }
        }
        labels
    }
}

/// Who was waited for has a colour, and keeps it from picture to picture.
fn colour(holder: &str) -> &'static str {
    match holder {
        "link" => "w0",
        "dhcp" => "w1",
        "ntp" => "w2",
        "resolve" => "w3",
        _ => "w4",
    }
}

#[expect(clippy::cast_precision_loss, reason = "a line of text")]
fn width(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER
}

/// Text for XML; names from the network may hold anything.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c if c.is_control() => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;

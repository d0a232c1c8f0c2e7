//! [`Live`]: the line on a terminal that says what is being waited for, and for how long already.

use bringup_core::event_loop::{Ready, Registrar};
use bringup_core::platform::Platform;
use bringup_core::time::{Duration, Instant};
use bringup_core::timer::{Owner, TimerKey};

use super::output::Output;

/// What is over so soon needs no line.
const FIRST: Duration = Duration::from_millis(300);

/// How often the line is written anew while something is waited for.
const TICK: Duration = Duration::from_millis(100);

/// What turns.
const WHEEL: [char; 8] = ['⠋', '⠙', '⠸', '⠴', '⠦', '⠇', '⠏', '⠛'];

/// The line's timer, if there is a terminal.
#[derive(Debug, Default)]
pub struct Live {
    timer: Option<TimerKey>,
    started: Instant,
    turn: usize,
}

impl Live {
    /// Begins, if anybody looks.
    pub fn start<P: Platform>(&mut self, registrar: &mut Registrar<'_, P>, output: &Output) {
        if !output.is_live() {
            return;
        }
        // Without a timer it goes without the line.
        self.timer = registrar.add_timer(Owner::Application).ok();
        self.started = registrar.now();
        self.arm(registrar, FIRST);
    }

    fn arm<P: Platform>(&self, registrar: &mut Registrar<'_, P>, after: Duration) {
        if let Some(timer) = self.timer {
            registrar.set_timer(timer, registrar.now() + after);
        }
    }

    /// Whether this is its timer.
    pub fn is(&self, ready: Ready) -> bool {
        matches!(ready, Ready::Timer { key, .. } if Some(key) == self.timer)
    }

    /// Writes the line anew: who is waited for.
    pub fn show<P: Platform>(
        &mut self,
        registrar: &mut Registrar<'_, P>,
        output: &mut Output,
        text: &str,
    ) {
        let waited = registrar.now().since(self.started);
        self.turn = (self.turn + 1) % WHEEL.len();
        let (seconds, tenths) = (waited.as_secs(), waited.as_millis() % 1_000 / 100);
        output.live(&format!("{} {seconds}.{tenths} s  {text}", WHEEL[self.turn]));
        self.arm(registrar, TICK);
    }

    /// Takes the line away until [`begin`](Self::begin).
    pub fn rest(output: &mut Output) {
        output.clear_live();
    }

    /// Something may be waited for from now on.
    pub fn begin<P: Platform>(&mut self, registrar: &mut Registrar<'_, P>) {
        self.arm(registrar, FIRST);
    }
}

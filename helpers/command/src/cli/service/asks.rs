//! [`Asks`]: questions of clients for the resolver of the running system.

use bringup_core::event_loop::SourceKey;
use bringup_core::platform::Platform;
use bringup_dns::{Outcome, QueryKey, QueryKind, QueryOptions, RecordType};

use crate::cli::companion::Scene;
use crate::cli::event::{Event, Problem};
use crate::cli::{lookup, query, text};

/// A question that is out.
struct Ask {
    client: SourceKey,
    name: String,
    rtype: RecordType,
    key: QueryKey,
}

/// The questions that are out: two at most for each client.
#[derive(Default)]
pub struct Asks(Vec<Ask>);

impl Asks {
    /// Asks for a client; without a type for addresses of both families.
    pub fn begin<P: Platform>(
        &mut self,
        scene: &mut Scene<'_, '_, '_, P>,
        client: SourceKey,
        name: &str,
        rtype: Option<&str>,
    ) -> Result<(), Problem> {
        let problem = |why: String, hint: &str| {
            let what = name.escape_debug().to_string();
            Problem { what, why, hint: hint.to_owned() }
        };
        let types = match rtype.map(text::record_type) {
            None => vec![RecordType::A, RecordType::AAAA],
            Some(Ok(rtype)) => vec![rtype],
            Some(Err(why)) => return Err(problem(why, "see `bringup query --help`")),
        };
        for rtype in types {
            let (kind, options) = (QueryKind::Type(rtype), QueryOptions::default());
            let asked = lookup::asked_name(name, rtype);
            match scene.system.query(scene.registrar, &asked, kind, options) {
                Ok(key) => self.0.push(Ask { client, name: name.to_owned(), rtype, key }),
                Err(error) => {
                    self.forget(scene, |other| other == client);
                    let (why, hint, _) = query::refusal(error);
                    return Err(problem(why.to_owned(), hint));
                }
            }
        }
        Ok(())
    }

    /// The end of a query, if it was a client's: the lines for it, and whether they are the last.
    pub fn answered<P: Platform>(
        &mut self,
        scene: &mut Scene<'_, '_, '_, P>,
        key: QueryKey,
    ) -> Option<(SourceKey, Vec<u8>, bool)> {
        let at = self.0.iter().position(|ask| ask.key == key)?;
        let Ask { client, name, rtype, .. } = self.0.swap_remove(at);
        let resolver = scene.system.resolver();
        let mut events = lookup::events(resolver, key, &name, Some(rtype));
        let outcome = resolver.result(key);
        let outcome = outcome.map(|a| (a.outcome(), a.server(), a.elapsed()));
        if let Some((Outcome::Failed(failure), server, elapsed)) = outcome {
            let (why, hint) = query::explain(failure, server, elapsed);
            events.push(Event::Error(Problem {
                what: format!("{name} {rtype}"),
                why,
                hint: hint.into(),
            }));
        }
        scene.system.release(scene.registrar, key);
        let lines = events.iter().flat_map(super::line).collect();
        let is_last = !self.0.iter().any(|ask| ask.client == client);
        Some((client, lines, is_last))
    }

    /// Gives up the questions of some clients.
    pub fn forget<P: Platform>(
        &mut self,
        scene: &mut Scene<'_, '_, '_, P>,
        of: impl Fn(SourceKey) -> bool,
    ) {
        self.0.retain(|ask| {
            let gone = of(ask.client);
            if gone {
                scene.system.release(scene.registrar, ask.key);
            }
            !gone
        });
    }
}

//! What a resolver without one of its parts does: nothing that was asked for is left in silence.

extern crate std;

#[cfg(not(feature = "tcp"))]
mod without_tcp {
    use crate::client::QueryOptions;
    use crate::counters::Discard;
    use crate::query::{Failure, Outcome, QueryKind};
    use crate::record::RecordType;
    use crate::testing::{Bench, Storage, a};
    use bringup_core::client::StreamInput;

    #[test]
    fn an_answer_that_is_cut_off_by_every_server_ends_as_that() {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 2);
        let key = bench.query_a("x.example");
        for _ in 0..2 {
            let sent = bench.one_sent();
            let mut reply = sent.reply();
            reply.header.tc = true;
            bench.reply(&sent, &reply);
        }
        assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Truncated));
        assert!(bench.take_sent().is_empty() && bench.connects.is_empty());
    }

    #[test]
    fn another_server_may_have_it_whole() {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 2);
        let key = bench.query_a("x.example");
        let sent = bench.one_sent();
        let mut reply = sent.reply();
        reply.header.tc = true;
        bench.reply(&sent, &reply);
        let sent = bench.one_sent();
        bench.reply(&sent, &sent.reply().answer("x.example", 60, &a(1)));
        assert_eq!(bench.outcome(key), Outcome::Answer);
    }

    #[test]
    fn what_may_go_over_tcp_alone_goes_nowhere() {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 2);
        let options = QueryOptions { tcp: true, ..QueryOptions::default() };
        let kind = QueryKind::Type(RecordType::A);
        let key = bench.with(|r, cx| r.query(cx, "x.example", kind, options)).unwrap();
        assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Unreachable));
        assert!(bench.take_sent().is_empty() && bench.connects.is_empty());
    }

    #[test]
    fn nothing_is_heard_on_a_connection() {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 1);
        let heard = bench.stream(0, StreamInput::Bytes(b"\0\x0C"));
        assert_eq!(heard, Err(Discard::UnknownConnection));
    }
}

#[cfg(not(feature = "extras"))]
mod without_extras {
    use crate::config::Config;
    use crate::config::hosts::HostsText;
    use crate::query::{Failure, Outcome};
    use crate::testing::{Bench, Storage, a, ms, name};
    use bringup_core::time::Duration;

    #[test]
    fn a_name_stands_for_itself_alone() {
        static HOSTS: HostsText<'static> = HostsText(b"192.0.2.9 box.example\n");
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 1);
        bench.resolver.set_search([name("corp.example")]);
        bench.resolver.set_hosts(Some(&HOSTS));
        assert_eq!(bench.resolver.search().count(), 0);
        let single = bench.query_a("box");
        assert_eq!(bench.outcome(single), Outcome::Failed(Failure::SingleLabel));
        let key = bench.query_a("box.example");
        let sent = bench.one_sent();
        bench.reply(&sent, &sent.reply().answer("box.example", 60, &a(1)));
        assert_eq!(bench.outcome(key), Outcome::Answer);
        assert_eq!(bench.records(key), ["box.example. 60 IN A 192.0.2.1"]);
    }

    #[test]
    fn an_address_of_ipv4_is_none_of_the_servers_business() {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 1);
        let key = bench.query_a("192.0.2.7");
        assert_eq!(bench.outcome(key), Outcome::Answer);
        assert_eq!(bench.records(key), ["192.0.2.7. 0 IN A 192.0.2.7"]);
        let six = bench.query_a("2001:db8::1");
        assert_eq!(bench.outcome(six), Outcome::Failed(Failure::SingleLabel));
        assert!(bench.take_sent().is_empty());
    }

    #[test]
    fn what_is_past_its_ttl_is_gone_and_nothing_is_asked_for_the_cache_alone() {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 2);
        let serve_stale = Duration::from_secs(86_400);
        let config = Config { serve_stale, refresh_ahead: true, ..Config::DEFAULT };
        bench.resolver.set_config(config);
        let key = bench.query_a("x.example");
        let sent = bench.one_sent();
        bench.reply(&sent, &sent.reply().answer("x.example", 60, &a(1)));
        assert_eq!(bench.outcome(key), Outcome::Answer);
        bench.wait(ms(59_000));
        let key = bench.query_a("x.example");
        assert_eq!(bench.outcome(key), Outcome::Answer);
        assert!(bench.take_sent().is_empty());
        bench.wait(ms(2_000));
        let key = bench.query_a("x.example");
        bench.wait(Duration::from_secs(60));
        assert_eq!(bench.outcome(key), Outcome::Failed(Failure::Timeout));
    }

    #[test]
    fn a_server_that_failed_is_asked_again_when_the_other_fails() {
        let mut storage = Storage::new();
        let mut bench = Bench::new(&mut storage, 2);
        let key = bench.query_a("x.example");
        let first = bench.one_sent();
        bench.wait(ms(600));
        let second = bench.one_sent();
        assert_ne!(first.to, second.to);
        bench.reply(&second, &second.reply().answer("x.example", 0, &a(1)));
        assert_eq!(bench.outcome(key), Outcome::Answer);
        bench.wait(Duration::from_secs(3_600));
        bench.query_a("y.example");
        assert_eq!(bench.one_sent().to, second.to, "nobody asks the other beside it");
        bench.wait(ms(4_000));
        assert!(bench.take_sent().iter().any(|sent| sent.to == first.to));
    }
}

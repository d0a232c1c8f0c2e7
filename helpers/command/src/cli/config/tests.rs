//! Files, right and wrong.

use super::*;
use bringup_core::time::Duration;

fn mistakes(text: &str) -> Vec<(usize, usize, String)> {
    let found = File::parse(text.as_bytes()).err().unwrap_or_default();
    found.into_iter().map(|m| (m.line, m.column, format!("{}; {}", m.why, m.hint))).collect()
}

#[test]
fn a_file_says_what_the_command_line_can() {
    let file = File::parse(
        b"# comment\ninterfaces = [\"eth0\", 'wlan0']\nset-clock = true\nkeep = false\n\
          ntp = [\"a.example\", \"192.0.2.1:1123\"]\ndns = \"192.0.2.53\"\ndeadline = \"2m\"\n\
          request-option = [252, \"captive-portal\"]\nprofile = \"standard\"\n",
    )
    .unwrap();
    let words: Vec<String> =
        file.words(|_| true).into_iter().map(|word| word.into_string().unwrap()).collect();
    assert_eq!(
        words.join(" "),
        "eth0 wlan0 --set-clock --ntp=a.example --ntp=192.0.2.1:1123 --dns=192.0.2.53 \
         --deadline=2m --request-option=252 --request-option=captive-portal --profile=standard"
    );
}

#[test]
fn every_option_of_up_is_a_key() {
    let mut command = Up::augment_args(Command::new("up"));
    command.build();
    let keys = Keys::new("");
    let mut count = 0;
    for option in command.get_arguments().filter_map(Arg::get_long) {
        if ["config", "help"].contains(&option) {
            continue;
        }
        assert!(keys.option(option).is_some(), "{option}");
        count += 1;
    }
    assert!(count > 20, "{count}");
}

#[test]
fn mistakes_have_a_place_and_say_what_to_do() {
    for (text, line, column, said) in [
        ("set-clok = true\n", 1, 1, "`set-clok` is not a key; did you mean `set-clock`?"),
        ("\n  set_clock = true\n", 2, 3, "did you mean `set-clock`?"),
        ("config = \"other.toml\"\n", 1, 1, "`config` is not a key; a key is"),
        ("[eth0]\nntp = \"x\"\n", 1, 2, "`eth0` is not a key"),
        ("keep = \"yes\"\n", 1, 8, "`keep` is true or false, not a string; write true or false"),
        ("deadline = 4\n", 1, 12, "`deadline`: `4` is not a duration; write a number and ms"),
        ("deadline = [\"4s\"]\n", 1, 12, "`deadline` has one value, not a list"),
        ("deadline = 1.5\n", 1, 12, "not a fraction"),
        (
            "dns = [\"192.0.2.1\", \"dns.example\"]\n",
            1,
            21,
            "`dns`: `dns.example` is not an address",
        ),
        ("profile = \"slow\"\n", 1, 11, "use one of: fast, standard"),
        ("hostname = \"$(reboot)\"\n", 1, 12, "is not a host name"),
        ("state-dir = \"\"\n", 1, 13, "needs a value"),
        ("interfaces = [\"--once\"]\n", 1, 15, "is not the name of an interface"),
        ("keep = true\nkeep = true\n", 2, 1, "duplicate key"),
        ("keep true\n", 1, 6, "TOML"),
        ("dns = [\n", 1, 8, "TOML"),
        (
            "keep = true\nntp = [\"a\", \"b\", \"c\", \"d\", \"e\"]\n",
            2,
            1,
            "ntp with a name is given 5 times, and 4 are used at most; name the best of them",
        ),
        ("keep = true\r\nntp = [\"a\", \"b\", \"c\", \"d\", \"e\"]\r\n", 2, 1, "at most"),
        ("hook-timeout = \"1s\"\ninterfaces = [\"eth0\", \"eth0\"]\n", 2, 1, "`eth0` twice"),
        ("dry-run = true\nset-clock = true\n", 1, 1, "dry-run cannot be used with set-clock"),
    ] {
        let found = mistakes(text);
        assert!(!found.is_empty(), "{text}");
        let (at, on, why) = &found[0];
        assert_eq!((*at, *on), (line, column), "{text}{why}");
        assert!(why.contains(said), "{text}{why}");
    }
    let all = mistakes("kep = true\ndns = [\"x\", \"y\"]\nonce = true\n");
    assert_eq!(all.len(), 3, "all of them at once: {all:?}");
    assert_eq!(File::parse(b"# \xFF\n").unwrap_err()[0].column, 3);
}

#[test]
fn the_command_line_counts_for_more() {
    let path = std::env::temp_dir().join(format!("bringup-{}-config.toml", std::process::id()));
    fs::write(
        &path,
        "interfaces = [\"eth0\"]\nntp = [\"a.example\"]\ndeadline = \"5s\"\nset-clock = true\n",
    )
    .unwrap();
    let merge = |line: &str| {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        merged(&words, &path).unwrap()
    };
    let up = merge("bringup --json up --config x");
    assert_eq!((up.interfaces.as_slice(), up.ntp.len()), (&["eth0".to_owned()][..], 1));
    assert!(up.set_clock && up.deadline == Some(Duration::from_secs(5)));
    let up = merge("bringup up --config x wlan0 --deadline 7s --ntp b.example --ntp c.example -q");
    assert_eq!((up.interfaces.as_slice(), up.ntp.len()), (&["wlan0".to_owned()][..], 2));
    assert!(up.set_clock && up.deadline == Some(Duration::from_secs(7)));
    let up = merge("bringup up --config x --dry-run");
    assert!(up.dry_run && !up.set_clock, "a run that changes nothing is always to be had");
    for (file, line) in [("keep = true\n", "--release"), ("release = true\n", "--keep")] {
        fs::write(&path, file).unwrap();
        let up = merge(&format!("bringup up eth0 --config x {line}"));
        assert_eq!((up.release, up.keep), (line == "--release", line == "--keep"), "{line}");
    }
    fs::write(&path, "keep = true\n").unwrap();
    let words = ["bringup", "up", "--config", "x"].map(OsString::from);
    let problems = merged(&words, &path).unwrap_err();
    assert!(problems[0].why.contains("names no interface"), "{problems:?}");
    fs::remove_file(&path).unwrap();
    assert_eq!(merged(&words, &path).unwrap_err().len(), 1);
}

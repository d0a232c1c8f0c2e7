//! Jobs without a loop: what runs, in which order, and what is left out. With the loop they are shown in
//! the laboratory.

use super::*;

fn job(about: &str, program: &str) -> Job {
    Job { about: about.to_owned(), program: program.into(), ..Job::default() }
}

#[test]
fn of_jobs_that_say_the_same_the_last_is_kept() {
    let mut jobs = Jobs::new(Duration::from_secs(1)).unwrap();
    for (about, program) in [("a", "one"), ("b", "one"), ("a", "two"), ("a", "one")] {
        jobs.push(job(about, program));
    }
    let waiting: Vec<(&str, &str)> =
        jobs.waiting().map(|job| (job.about.as_str(), job.program.to_str().unwrap())).collect();
    assert_eq!(waiting, [("b", "one"), ("a", "two"), ("a", "one")]);
}

#[test]
fn the_queue_is_bounded_and_what_is_dropped_is_counted() {
    let mut jobs = Jobs::new(Duration::from_secs(1)).unwrap();
    for n in 0..MAX_WAITING + 3 {
        jobs.push(job(&n.to_string(), "one"));
    }
    assert_eq!(jobs.waiting().count(), MAX_WAITING);
    assert_eq!(jobs.waiting().next().unwrap().about, "3", "the oldest went");
    assert_eq!(jobs.counts().dropped, 3);
}

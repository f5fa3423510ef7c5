//! A probe in chunks is the probe as a whole, and its memory does not grow with its samples.

use carnot_math::random::Stream;
use carnot_probe::call::{Call, Role};
use carnot_probe::error::ProbeError;
use carnot_probe::reading::StepReading;
use carnot_probe::session::{Pool, Session, Settings};

const SAMPLES: usize = 90;
const POSITIONS: usize = 5;

fn noise(n: usize, at: u64) -> Vec<f32> {
    let mut out = vec![0f32; n];
    Stream::new(11, "chunks test", &[at]).fill_normal(&mut out, 0.7);
    out
}

/// Name, kind, role, positions, width.
const CALLS: [(&str, &str, Role, usize, usize); 5] = [
    ("input", "input", Role::Chain, POSITIONS, 8),
    ("block.fc", "tanh", Role::Inside, POSITIONS, 20),
    ("block.add", "residual", Role::Block, POSITIONS, 8),
    ("norm", "layernorm", Role::Chain, POSITIONS, 8),
    ("head", "linear", Role::Chain, 1, 3),
];

/// Reads random calls, cut as told.
fn read(session: &mut Session, cuts: &[usize]) -> StepReading {
    let all: Vec<[Vec<f32>; 3]> = (0..CALLS.len())
        .map(|at| {
            std::array::from_fn(|part| noise(SAMPLES * CALLS[at].3 * CALLS[at].4, (10 * at + part) as u64))
        })
        .collect();
    let classifier = noise(24, 99);
    let mut stream = session.stream(3, Some(0.5));
    for cut in cuts.windows(2) {
        stream.begin(cut[0], cut[1] - cut[0]).unwrap();
        for ((name, kind, role, positions, width), [features, input, gradient]) in CALLS.iter().zip(&all) {
            let part = |of: &[f32]| of[cut[0] * positions * width..cut[1] * positions * width].to_vec();
            let (features, input, gradient) = (part(features), part(input), part(gradient));
            stream
                .add(&Call {
                    role: *role,
                    positions: *positions,
                    input: (*role == Role::Block).then_some(&input),
                    gradient: Some(&gradient),
                    classifier: (*name == "head").then_some(&classifier),
                    ..Call::vectors(name, kind, &features, *width)
                })
                .unwrap();
        }
    }
    stream.end().unwrap()
}

#[test]
fn any_chunks_give_the_bits_of_one() {
    let by_sample: Vec<u32> = (0..SAMPLES as u32).map(|at| at % 3).collect();
    let by_position: Vec<u32> = (0..(SAMPLES * POSITIONS) as u32).map(|at| (at * 7) % 4).collect();
    for labels in [Some(by_sample), Some(by_position), None] {
        for pool in [Pool::Mean, Pool::First, Pool::Flatten] {
            // Fewer rows than samples: what is chosen and what is summed are different things.
            let settings = Settings { pool, rows: 40, ..Settings::default() };
            let mut session = Session::new(labels.clone(), SAMPLES, settings).unwrap();
            let whole = read(&mut session, &[0, SAMPLES]);
            let numbers: usize = whole.layers.iter().map(|layer| layer.values.len()).sum();
            assert!(numbers > 40, "{numbers}");
            for cuts in [vec![0, 1, 2, 50, SAMPLES], vec![0, 45, SAMPLES], (0..=SAMPLES).collect()] {
                assert_eq!(read(&mut session, &cuts), whole, "{pool:?} {cuts:?}");
            }
        }
    }
}

#[test]
fn a_step_of_whole_calls_is_a_stream_of_one_chunk() {
    let labels: Vec<u32> = (0..SAMPLES as u32).map(|at| at % 3).collect();
    let mut session = Session::new(Some(labels), SAMPLES, Settings::default()).unwrap();
    let features = noise(SAMPLES * 6, 1);
    let call = Call::vectors("fc", "linear", &features, 6);
    let mut step = session.step(0, None);
    step.add(&call).unwrap();
    let whole = step.end();
    let mut stream = session.stream(0, None);
    stream.begin(0, SAMPLES).unwrap();
    stream.add(&call).unwrap();
    assert_eq!(stream.end().unwrap(), whole);
}

#[test]
fn digests_of_any_thread_in_any_order_are_the_chunks_themselves() {
    let labels: Vec<u32> = (0..SAMPLES as u32).map(|at| at % 3).collect();
    let features = noise(SAMPLES * 6, 1);
    let mut session = Session::new(Some(labels), SAMPLES, Settings::default()).unwrap();
    let call = |from: usize, to: usize| Call::vectors("fc", "linear", &features[6 * from..6 * to], 6);
    let mut step = session.step(0, None);
    step.add(&call(0, SAMPLES)).unwrap();
    let whole = step.end();
    let mut stream = session.stream(0, None);
    let (cuts, digests) = ([0, 17, 18, 60, SAMPLES], stream.digests());
    // The last chunk first, in a thread of its own each.
    let made = |at: usize| {
        let (from, to) = (cuts[at], cuts[at + 1]);
        let own = || digests.digest(&call(from, to), from, to - from).unwrap().into_owned();
        std::thread::scope(|scope| scope.spawn(own).join().unwrap())
    };
    let mut made: Vec<_> = (0..4).rev().map(made).collect();
    made.reverse();
    stream.begin(0, 17).unwrap();
    assert!(matches!(stream.absorb(&made[1]), Err(ProbeError::Chunk { .. })), "a chunk of another length");
    stream.absorb(&made[0]).unwrap();
    for (at, digest) in made.iter().enumerate().skip(1) {
        stream.begin(cuts[at], cuts[at + 1] - cuts[at]).unwrap();
        stream.absorb(digest).unwrap();
    }
    assert_eq!(stream.end().unwrap(), whole);
}

#[test]
fn all_calls_at_once_are_one_after_the_other_on_any_number_of_threads() {
    let labels: Vec<u32> = (0..SAMPLES as u32).map(|at| at % 3).collect();
    let mut session = Session::new(Some(labels), SAMPLES, Settings::default()).unwrap();
    let features: Vec<Vec<f32>> = (0..5).map(|at| noise(SAMPLES * 6, at)).collect();
    let role = |at: usize| if at == 2 { Role::Inside } else { Role::Chain };
    let calls = features.iter().enumerate();
    let calls: Vec<Call> =
        calls.map(|(at, x)| Call { role: role(at), ..Call::vectors("fc", "linear", x, 6) }).collect();
    let mut step = session.step(0, None);
    calls.iter().for_each(|call| step.add(call).unwrap());
    let one_by_one = step.end();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| session.read(0, None, &calls)).unwrap(), one_by_one, "{threads}");
    }
}

#[test]
fn chunks_of_other_lengths_are_read_as_sequences() {
    let features = noise(7 * 4 * 3, 5);
    let mut session = Session::new(Some(vec![0, 1, 0, 1, 0, 1, 0]), 7, Settings::default()).unwrap();
    let mut stream = session.stream(0, None);
    for (first, samples, positions) in [(0, 3, 4), (3, 2, 2), (5, 2, 1)] {
        stream.begin(first, samples).unwrap();
        let part = &features[..samples * positions * 3];
        stream.add(&Call { positions, ..Call::vectors("fc", "linear", part, 3) }).unwrap();
    }
    let layer = &stream.end().unwrap().layers[0];
    assert_eq!(layer.positions, 4);
    assert!(layer.value("separation").is_some() && layer.value("kernel").is_some());
}

#[test]
fn rows_that_are_passed_over_belong_to_no_class() {
    use carnot_probe::labels::NONE;
    let features = noise(SAMPLES * 6, 3);
    let read = |labels: Vec<u32>, features: &[f32]| {
        let n = labels.len();
        let mut session = Session::new(Some(labels), n, Settings::default()).unwrap();
        assert_eq!(session.classes(), 2);
        session.read(0, None, &[Call::vectors("fc", "linear", features, 6)]).unwrap().layers.remove(0)
    };
    let some: Vec<u32> = (0..60).map(|at| at % 2).collect();
    let all = some.iter().copied().chain(std::iter::repeat_n(NONE, SAMPLES - 60)).collect();
    let (few, many) = (read(some, &features[..60 * 6]), read(all, &features));
    for name in ["separation", "separation_pinv", "cdnv"] {
        let (few, many) = (few.value(name).unwrap(), many.value(name).unwrap());
        assert!((few.value - many.value).abs() < 1e-12, "{name}: {few:?} {many:?}");
    }
    assert!(few.value("kernel") != many.value("kernel"));
}

#[test]
fn chunks_that_do_not_fit_are_refused() {
    let mut session = Session::new(None, 4, Settings::default()).unwrap();
    let (two, other) = ([1.0f32, 2.0, 3.0, 4.0], [1.0f32; 6]);
    let call = Call::vectors("fc", "linear", &two, 2);
    let begun = |session: &mut Session| -> Result<(), ProbeError> {
        let mut stream = session.stream(0, None);
        stream.begin(0, 2)?;
        stream.add(&call)?;
        stream.begin(2, 2)?;
        stream.add(&Call::vectors("fc", "linear", &other, 3))
    };
    assert!(matches!(begun(&mut session), Err(ProbeError::ChunkCalls { first: 2, .. })));
    let mut stream = session.stream(0, None);
    assert!(matches!(stream.add(&call), Err(ProbeError::Chunk { read: 0, .. })));
    assert!(matches!(stream.begin(1, 2), Err(ProbeError::Chunk { .. })));
    stream.begin(0, 2).unwrap();
    stream.add(&call).unwrap();
    assert!(matches!(stream.begin(2, 3), Err(ProbeError::Chunk { read: 2, .. })));
    stream.begin(2, 2).unwrap();
    assert!(matches!(stream.end(), Err(ProbeError::ChunkCalls { .. })));
    let mut stream = session.stream(0, None);
    stream.begin(0, 2).unwrap();
    stream.add(&call).unwrap();
    assert!(matches!(stream.end(), Err(ProbeError::Chunk { read: 2, all: 4, .. })));
}

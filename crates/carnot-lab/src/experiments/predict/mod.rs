//! `carnot predict`: what theory expects of a network, and the initialisation it would choose.

pub mod beside;
mod groups;
mod stream;
mod transformer;
mod walked;

use carnot_net::activation::Activation;
use carnot_net::hyper::{LayerRate, Scheme};
use carnot_net::kernel::{Gram, Kernel};
use carnot_net::plan::{Plan, Theory};
use carnot_net::reading::Labels;
use carnot_report::number::{percent, significant};
use carnot_report::profile::{Column, Profile};
use carnot_report::report::{Line, Provenance, Report, Snippet};
use carnot_report::section::{Cell, Heading, Role, Row, Section, Show, Table};
use carnot_theory::criticality::Criticality;
use carnot_theory::forecast::{LayerForecast, forecast};
use carnot_theory::information::best_aspect_ratio;
use carnot_theory::initial::{Initial, activations, critical_point, is_critical};
use carnot_theory::phases::{self, Phase};
use carnot_theory::recommend::Choice;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Experiment, Group, Job, Point, Tools};
use crate::error::LabError;
use crate::present::charts::{Curve, PICTURES};
use crate::present::{forecast_profile, values};
use crate::settings::{InitSettings, variances, within};
use crate::spec::describe::network;
use crate::spec::network::{NetworkChoice, NetworkSettings};

/// Phase, best initialisation, signal and gradient of a network, from theory alone.
///
/// Needs no data and draws no random number: two inputs of a given size and correlation are followed through the
/// layers at infinite width, with the fluctuations between networks of finite width to first order in 1/n.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PredictSpec {
    #[serde(flatten)]
    /// The network.
    pub network: NetworkSettings,
    #[serde(flatten)]
    /// How it starts.
    pub init: InitSettings,
    /// Mean square of the numbers of an input, |x|²/n₀.
    pub input_variance: f64,
    /// Correlation of the two inputs that are followed.
    pub input_correlation: f64,
    /// λ_W: rate of weights times fan-in, for the tangent kernel.
    pub lambda_w: f64,
    /// λ_b: rate of biases, for the tangent kernel.
    pub lambda_b: f64,
    /// Tokens that attend to each other, of a transformer. Default: 128, or what its config allows.
    pub tokens: Option<usize>,
    /// Chance that two tokens of a text are the same one, of a transformer. Default: 0.02.
    pub token_match: Option<f64>,
}

impl Default for PredictSpec {
    fn default() -> PredictSpec {
        PredictSpec {
            network: NetworkSettings::default(),
            init: InitSettings::default(),
            input_variance: 1.0,
            input_correlation: 0.0,
            lambda_w: 1.0,
            lambda_b: 1.0,
            tokens: None,
            token_match: None,
        }
    }
}

/// The experiment behind `carnot predict`.
pub struct Predict;

impl Experiment for Predict {
    const VERB: &'static str = "predict";
    const GROUP: Group = Group::Predict;
    type Spec = PredictSpec;

    fn resolve(spec: PredictSpec) -> Result<PredictSpec, LabError> {
        spec.init.check()?;
        let v = spec.input_variance;
        within("input_variance", v, v > 0.0 && v <= 1e6, "above 0, at most 1000000")?;
        let c = spec.input_correlation;
        within("input_correlation", c, (-1.0..1.0).contains(&c), "at least -1, below 1")?;
        within("lambda_w", spec.lambda_w, (0.0..=1e6).contains(&spec.lambda_w), "between 0 and 1000000")?;
        within("lambda_b", spec.lambda_b, (0.0..=1e6).contains(&spec.lambda_b), "between 0 and 1000000")?;
        within(
            "tokens",
            spec.tokens.unwrap_or(1),
            spec.tokens.is_none_or(|t| (1..=65_536).contains(&t)),
            "1 to 65536",
        )?;
        let matches = spec.token_match.unwrap_or(0.0);
        within("token_match", matches, (0.0..1.0).contains(&matches), "at least 0, below 1")?;
        if let Some(choice) = spec.network.model() {
            let choice = transformer::pinned(choice)?;
            let network = NetworkSettings { network: NetworkChoice::Model(choice), ..spec.network };
            return Ok(PredictSpec { network, ..spec });
        }
        let spec = PredictSpec { network: spec.network.resolve()?, ..spec };
        let has_tokens = walked::is_one(&Plan::new(spec.network.network())?);
        let said =
            "left out for a network that is written out: its input says how many, as in post:2x64,tokens=24";
        within("tokens", "given", spec.tokens.is_none(), said)?;
        let said =
            "left out for a network without tokens: give post:2x64, or the config.json of a transformer";
        within("token_match", "given", spec.token_match.is_none() || has_tokens, said)?;
        Ok(spec)
    }

    fn subject(spec: &PredictSpec) -> String {
        spec.network.model().map_or_else(|| network(spec.network.network()), |choice| choice.model.clone())
    }

    fn plan(_: &PredictSpec) -> Result<Vec<Job>, LabError> {
        Ok(Vec::new())
    }

    fn run(_: &PredictSpec, job: &Job, _: &Tools) -> Result<Value, LabError> {
        Err(LabError::Answer { job: job.id.clone(), message: "predict has no jobs".into() })
    }

    fn report(spec: &PredictSpec, _: &[Point]) -> Result<Report, LabError> {
        if let Some(choice) = spec.network.model() {
            return transformer::report(spec, choice);
        }
        let plan = Plan::new(spec.network.network())?;
        if walked::is_one(&plan) {
            return walked::report(spec, &plan);
        }
        let asked = Side::of(&plan, spec, &spec.init, spec.init.words())?;
        let critical = InitSettings { init: Scheme::Critical, c_w: None, c_b: None };
        let best = match critical == spec.init {
            true => None,
            false => Some(Side::of(&plan, spec, &critical, "recommended".into())?),
        };
        Ok(write(spec, &plan, &asked, best.as_ref()))
    }
}

/// One initialisation and everything that follows from it.
struct Side {
    words: String,
    initial: Initial,
    layers: Vec<LayerForecast>,
    widths: Vec<usize>,
    depth: Depth,
}

/// Where the network is in the phase diagram.
struct Depth {
    phase: Option<Phase>,
    correlation_depth: Result<f64, String>,
}

impl Side {
    fn of(plan: &Plan, spec: &PredictSpec, init: &InitSettings, words: String) -> Result<Side, LabError> {
        let initial = init.initial(plan)?;
        let rate = vec![LayerRate { lambda_w: spec.lambda_w, lambda_b: spec.lambda_b }; plan.weighted];
        let theory = Theory::new(&initial.layers, &rate);
        let layers = forecast(plan, &theory, &two_inputs(plan, spec));
        let widths = widths_before(plan);
        let depth = depth(plan, &initial, &layers);
        Ok(Side { words, initial, layers, widths, depth })
    }

    /// A step inside the stack: with skips, the one into the last hidden layer, for the head has none.
    fn inner(&self, plan: &Plan) -> usize {
        let skips = plan.sites.iter().any(|site| site.layer.kind() == "residual");
        if skips { self.deep().saturating_sub(1) } else { self.deep() }
    }

    /// The last hidden layer: the one in front of the head, or the only one.
    fn deep(&self) -> usize {
        self.layers.len().saturating_sub(2)
    }
}

/// Number of units in front of each read layer.
pub fn widths_before(plan: &Plan) -> Vec<usize> {
    plan.read_sites().iter().map(|site| site.input.width()).collect()
}

fn two_inputs(plan: &Plan, spec: &PredictSpec) -> Kernel {
    let v = spec.input_variance;
    let apart = 2.0 * v * (1.0 - spec.input_correlation);
    let p = plan.input.positions();
    let mut gram = Gram::zeros(2, p, plan.positions());
    gram.variance.fill(v);
    // Without data, neighbouring positions are taken as independent.
    gram.fill_pairs(|a, b| if a % p == b % p { apart } else { 2.0 * v });
    Kernel::of_gram(gram, false)
}

fn depth(plan: &Plan, initial: &Initial, layers: &[LayerForecast]) -> Depth {
    // The head has no skip around it, so with skips the last step inside the stack is one earlier.
    let skips = usize::from(plan.sites.iter().any(|site| site.layer.kind() == "residual"));
    let hidden = &layers[..layers.len().saturating_sub(1 + skips)];
    let last = hidden.iter().rev().find_map(|layer| layer.chi_perpendicular.clone().ok());
    let simple = plan
        .all()
        .iter()
        .all(|site| ["dense", "act", "conv", "flatten", "pool", "dropout"].contains(&site.layer.kind()));
    let activations = activations(plan);
    if let ([activation], true) = (&activations[..], simple) {
        let (c_w, c_b) = variances(&initial.layers);
        return of_stack(activation, c_w, c_b, last, layers);
    }
    // Skips and norms move χ⊥ towards one as 1/depth: what is within that of one is critical.
    let near = (3.0 / layers.len() as f64).min(0.1);
    let phase = last.map(|chi| if (chi - 1.0).abs() < near { Phase::Critical } else { Phase::of(chi) });
    let length = last.ok_or("χ⊥ is not known".to_string()).map(|chi| 1.0 / chi.ln().abs());
    let correlation_depth = match phase {
        Some(Phase::Critical) => Err("power law".into()),
        _ => length,
    };
    Depth { phase, correlation_depth }
}

fn of_stack(
    activation: &Activation,
    c_w: f64,
    c_b: f64,
    last: Option<f64>,
    layers: &[LayerForecast],
) -> Depth {
    let formula = &activation.formula;
    let here = |point: &Criticality| {
        point.point().is_some_and(|p| (p.c_w - c_w).abs() < 1e-9 * p.c_w && (p.c_b - c_b).abs() < 1e-9)
    };
    if critical_point(activation).as_ref().is_ok_and(here) {
        return Depth { phase: Some(Phase::Critical), correlation_depth: Err("power law".into()) };
    }
    let start = layers[0].reading.as_ref().map_or(1.0, |reading| reading.forward.mean_variance());
    let fixed = phases::settle(formula, c_w, c_b, start);
    let lost = |error: &dyn std::fmt::Display| Depth {
        phase: last.map(Phase::of),
        correlation_depth: match last {
            Some(chi) if chi != 1.0 => Ok(1.0 / chi.ln().abs()),
            _ => Err(error.to_string()),
        },
    };
    let fixed = match fixed {
        Ok(fixed) => fixed,
        Err(error) => return lost(&error),
    };
    match phases::correlations(formula, c_w, c_b, &fixed) {
        Ok(correlations) => {
            let length = correlations.correlation_depth().map_err(|_| "power law".to_string());
            Depth { phase: Some(correlations.phase), correlation_depth: length }
        }
        Err(error) => lost(&error),
    }
}

fn write(spec: &PredictSpec, plan: &Plan, asked: &Side, best: Option<&Side>) -> Report {
    let mut report = Report::new("predict", &network(spec.network.network()));
    report.sections.push(Section::Table(comparison(plan, asked, best)));
    let asked_profile = forecast_profile("theory", &asked.layers, Labels::default());
    let best_profile =
        best.map(|best| forecast_profile("theory, recommended", &best.layers, Labels::default()));
    let gradient = |side: &Side| gradient_through(side).map_or("–".into(), |g| significant(g, 2));
    for picture in PICTURES {
        let caption = match (picture.column, best) {
            ("gradient", Some(best)) => format!(
                "{} of the gradient reaches layer 1 with {}; {} with the recommended initialisation.",
                gradient(asked),
                asked.words,
                gradient(best)
            ),
            ("gradient", None) => format!("{} of the gradient reaches layer 1.", gradient(asked)),
            ("kernel", _) => format!("Size of the signal with depth, {}.", asked.words),
            _ => "One means that two inputs can no longer be told apart.".into(),
        };
        let mut curves = Vec::new();
        if let Some(profile) = &best_profile {
            curves.push(Curve { name: "recommended", profile, is_measured: false, is_context: false });
        }
        let is_context = best.is_some();
        curves.push(Curve { name: &asked.words, profile: &asked_profile, is_measured: false, is_context });
        report.sections.extend(picture.draw(&curves, &caption).map(Section::Chart));
    }
    report.sections.push(Section::Table(layer_table(&asked.layers)));
    advice(&mut report, spec, plan, asked, best.unwrap_or(asked));
    let best_profile = best_profile.zip(best).map(|(profile, best)| with_rates(profile, plan, best));
    report.profiles = std::iter::once(asked_profile).chain(best_profile).collect();
    report.provenance = Provenance { device: "theory".into(), ..Provenance::default() };
    report
}

/// Root of the squared gradient at layer 1 over that at the last hidden layer.
fn gradient_through(side: &Side) -> Option<f64> {
    let at = |layer: usize| side.layers.get(layer)?.reading.as_ref().ok()?.gradient.first().copied();
    Some((at(0)? / at(side.deep())?).sqrt())
}

fn spread(side: &Side, factor: f64) -> Option<f64> {
    let layer = side.layers.get(side.deep())?;
    let kernel = layer.reading.as_ref().ok()?.forward.mean_variance();
    let vertex = layer.vertex.clone().ok()? / (kernel * kernel);
    let (width, before) = (layer.width as f64 * factor, side.widths[side.deep()] as f64 * factor);
    Some((2.0 / width + vertex / before).sqrt())
}

fn comparison(plan: &Plan, asked: &Side, best: Option<&Side>) -> Table {
    let sides: Vec<&Side> = std::iter::once(asked).chain(best).collect();
    let deep = asked.deep();
    let width = asked.layers[deep].width;
    let mut rows = Vec::new();
    let mut row = |label: &str, meaning: &str, of: &dyn Fn(&Side) -> String| {
        let cells = std::iter::once(label.to_string()).chain(sides.iter().map(|side| of(side)));
        rows.push(Row::new(cells.chain([meaning.to_string()]).map(Cell::text).collect()));
    };
    let number = |value: Option<f64>| value.map_or("not known".to_string(), |value| significant(value, 3));
    row("C_W", "weight variance × fan-in", &|side| significant(variances(&side.initial.layers).0, 3));
    row("C_b", "bias variance", &|side| significant(variances(&side.initial.layers).1, 2));
    row("phase", "", &|side| side.depth.phase.map_or("not known".into(), |phase| phase.to_string()));
    let inner = asked.inner(plan);
    row(&format!("χ⊥ at layer {}", inner + 1), "1 keeps distances", &|side| {
        number(side.layers[inner].chi_perpendicular.clone().ok())
    });
    row(
        "correlation depth ξ",
        "how deep an input is still seen",
        &|side| match &side.depth.correlation_depth {
            Ok(length) => format!("{} layers", significant(*length, 2)),
            Err(why) => why.clone(),
        },
    );
    row(&format!("signal at layer {}", deep + 1), "", &|side| {
        let reading = side.layers[deep].reading.as_ref().ok();
        number(reading.map(|reading| reading.forward.mean_variance()))
    });
    row(&format!("gradient, {} → 1", deep + 1), "", &|side| {
        gradient_through(side).map_or("not known".into(), |g| significant(g, 2))
    });
    let meaning = format!("at width {width}; {} at {}", wider(best.unwrap_or(asked)), 4 * width);
    row("spread between seeds", &meaning, &|side| spread(side, 1.0).map_or("not known".into(), percent));
    row("largest stable rate", "for rates per layer as in the JSON", &|side| {
        let rates = crate::remedy::rates(plan, &side.initial.layers, &side.layers);
        rates.map_or("not known".into(), |rates| significant(rates.largest_stable, 2))
    });
    let best_ratio = ratio(plan, asked);
    if let Some(ratio) = best_ratio {
        let depth = plan.read_sites().len() as f64 / width as f64;
        row("aspect ratio L/n", &format!("fluctuations stay small below {}", significant(ratio, 2)), &|_| {
            significant(depth, 2)
        });
    }
    let mut columns = vec![Heading::words(""), Heading::words(&heading(&asked.words))];
    columns.extend(best.map(|best| Heading::words(&heading(&best.words_of_choice()))));
    columns.push(Heading::words("meaning"));
    Table { role: Role::Comparison, columns, rows, ..Table::default() }
}

fn heading(words: &str) -> String {
    words.replace("PyTorch default init", "as PyTorch").replace(" init", "")
}

fn wider(side: &Side) -> String {
    spread(side, 4.0).map_or("not known".into(), percent)
}

impl Side {
    fn words_of_choice(&self) -> String {
        let choices = self.initial.advice.values().filter_map(|advice| advice.as_ref().ok());
        let words = |choice: &Choice| match choice {
            Choice::Critical(_) => "critical",
            Choice::EdgeOfChaos { .. } => "edge of chaos",
            Choice::LeastOrdered { .. } => "least ordered",
            Choice::Nothing { .. } => "no stable init",
        };
        choices
            .map(|init| words(&init.choice))
            .find(|word| *word != "critical")
            .unwrap_or("critical")
            .to_string()
    }
}

/// Aspect ratio at which the perturbative regime of the recommended network ends.
fn ratio(plan: &Plan, asked: &Side) -> Option<f64> {
    let activation = activations(plan).into_iter().next()?;
    let point = critical_point(&activation).ok()?;
    let growth = point.point()?.nu;
    (plan.all().iter().all(|site| site.layer.kind() != "residual") && !asked.layers.is_empty())
        .then(|| best_aspect_ratio(growth, plan.output().len()))
}

/// Layers in full; long runs of alike layers fold in the terminal.
fn layer_table(layers: &[LayerForecast]) -> Table {
    let cell = |value: Option<f64>| value.map_or(Cell::missing(), |value| Cell::significant(value, 3));
    let row = |(at, layer): (usize, &LayerForecast)| {
        let reading = layer.reading.as_ref().ok();
        Row::new(vec![
            Cell::text((at + 1).to_string()),
            Cell::text(layer.name.clone()),
            cell(reading.map(|r| r.forward.mean_variance())),
            cell(layer.chi_parallel.clone().ok()),
            cell(layer.chi_perpendicular.clone().ok()),
            cell(layer.vertex.clone().ok()),
            cell(layer.tangent.clone().ok()),
            cell(reading.and_then(|r| r.gradient.first().map(|g| g.sqrt()))),
        ])
    };
    Table {
        title: "Layers".into(),
        role: Role::Layers,
        show: Show::Page,
        columns: vec![
            Heading::count("layer"),
            Heading::words(""),
            Heading::number("K"),
            Heading::number("χ∥"),
            Heading::number("χ⊥"),
            Heading::number("V"),
            Heading::number("Θ"),
            Heading::number("gradient"),
        ],
        rows: layers.iter().enumerate().map(row).collect(),
        ..Table::default()
    }
}

fn advice(report: &mut Report, spec: &PredictSpec, plan: &Plan, asked: &Side, best: &Side) {
    let (c_w, c_b) = variances(&best.initial.layers);
    let std =
        if c_w == 1.0 { "1/√fan_in".to_string() } else { format!("√({}/fan_in)", significant(c_w, 4)) };
    let bias = if c_b == 0.0 {
        "bias 0".to_string()
    } else {
        format!("bias normal, std √{}", significant(c_b, 3))
    };
    report.next.push(Line::new("use", format!("init: normal, std {std}, {bias}")));
    if !is_critical(&best.initial) {
        let because = best.initial.advice.iter().find_map(|(name, advice)| match advice {
            Ok(init) => match &init.choice {
                Choice::EdgeOfChaos { because, .. }
                | Choice::LeastOrdered { because, .. }
                | Choice::Nothing { because } => Some(format!("{name} has no critical point: {because}")),
                Choice::Critical(_) => None,
            },
            Err(error) => Some(format!("{name}: {error}")),
        });
        report.summary.extend(because.map(|because| Line::new("note", because)));
    }
    report.next.push(Line::new("try", ensemble_command(spec)).with_note("does theory hold at your width?"));
    report.code.push(Snippet { label: "PyTorch".into(), text: crate::remedy::torch_code(c_w, c_b) });
    report.extra.insert("criticality".into(), criticality(plan));
    let word = |side: &Side| side.depth.phase.map(|phase| phase.to_string());
    report.extra.insert("phase".into(), json!(word(asked)));
    report.extra.insert("correlation_depth".into(), json!(asked.depth.correlation_depth.as_ref().ok()));
    report.extra.insert("init".into(), init_json(asked, spec));
    report.extra.insert("recommended".into(), init_json(best, spec));
    report.extra.insert("rates".into(), rates(plan, best));
}

/// The command that holds this network against theory.
fn ensemble_command(spec: &PredictSpec) -> String {
    let words = network(spec.network.network());
    match words.split(", ").collect::<Vec<_>>()[..] {
        [shape, activation] if carnot_net::shorthand::looks_like(shape) => {
            let is_word = activation.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let quoted = if is_word { activation.to_string() } else { format!("'{activation}'") };
            format!("carnot ensemble {shape} --activation {quoted} --init critical")
        }
        _ => "carnot ensemble NETWORK --init critical".into(),
    }
}

fn init_json(side: &Side, spec: &PredictSpec) -> Value {
    let (c_w, c_b) = variances(&side.initial.layers);
    let profile = forecast_profile("", &side.layers, Labels::default());
    let depth = side.layers.len() - 1;
    json!({
        "c_w": c_w,
        "c_b": c_b,
        "phase": side.depth.phase.map(|phase| phase.to_string()),
        "choice": side.words_of_choice(),
        "spread": spread(side, 1.0),
        "input_variance": spec.input_variance,
        "kernel_at_output": values(&profile, "kernel").get(depth).copied().flatten(),
    })
}

/// `{class, c_w, c_b, kernel}` of the first activation; `null` where no critical point exists, with the reason.
pub fn criticality(plan: &Plan) -> Value {
    let Some(activation) = activations(plan).into_iter().next() else {
        return json!({ "class": null, "c_w": null, "c_b": null, "kernel": null, "because": "no activation" });
    };
    match critical_point(&activation) {
        Ok(Criticality::Point(point)) => json!({
            "class": point.class,
            "c_w": point.c_w,
            "c_b": point.c_b,
            "kernel": point.kernel,
            "activation": activation.name,
            "nu": point.nu.is_finite().then_some(point.nu),
            "p_perpendicular": point.p_perpendicular,
        }),
        Ok(Criticality::None(because)) => json!({
            "class": null, "c_w": null, "c_b": null, "kernel": null,
            "activation": activation.name, "because": because.to_string(),
        }),
        Err(error) => json!({
            "class": null, "c_w": null, "c_b": null, "kernel": null,
            "activation": activation.name, "because": error.to_string(),
        }),
    }
}

/// The profile with λ_W and λ_b of each layer, where they are known.
fn with_rates(mut profile: Profile, plan: &Plan, side: &Side) -> Profile {
    if let Ok(rates) = crate::remedy::rates(plan, &side.initial.layers, &side.layers) {
        let of = |get: fn(&LayerRate) -> f64| rates.layers.iter().map(get).collect::<Vec<_>>();
        profile.insert("lambda_w", Column::exact("λ_W", &of(|rate| rate.lambda_w)));
        profile.insert("lambda_b", Column::exact("λ_b", &of(|rate| rate.lambda_b)));
    }
    profile
}

/// Relative rates with which every layer contributes equally to Θ, and the largest stable rate with them.
fn rates(plan: &Plan, best: &Side) -> Value {
    let rates = crate::remedy::rates(plan, &best.initial.layers, &best.layers);
    match rates {
        Ok(rates) => json!({
            "lambda_w": rates.layers.iter().map(|rate| rate.lambda_w).collect::<Vec<_>>(),
            "lambda_b": rates.layers.iter().map(|rate| rate.lambda_b).collect::<Vec<_>>(),
            "largest_stable": rates.largest_stable,
        }),
        Err(because) => json!({ "because": because }),
    }
}

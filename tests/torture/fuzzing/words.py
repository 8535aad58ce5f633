"""Command lines over the real schema: right ones that run, wrong ones, sweeps, experiments, and the other commands."""

import dataclasses
import functools
import re
from collections.abc import Iterable
from pathlib import Path

from fuzzing import rules
from fuzzing.draw import Draw, quoted
from fuzzing.stock import ALONE, SWEEPS
from test_fuzzed_overrides import LINES, WRONG, Field, Grammar, fields_of

from deeprob import config as configs
from deeprob.assembly.config import RunConfig
from deeprob.commands.check_gradients import CheckConfig
from deeprob.commands.optimizer_paths import OptimizerPathsConfig
from deeprob.sweeps.measures import MEASURES
from deeprob.sweeps.table import METRICS
from deeprob.training import TrainerConfig

MOST = {
    "points_per_class": 60, "test_points_per_class": 60, "distractors": 9, "classes": 7, "inputs": 9, "outputs": 5,
    "examples": 60, "test_examples": 60, "epochs": 8, "layers": 5, "width": 31, "hidden": 31, "pieces": 9,
    "max_iter": 9, "iterations": 9, "samples": 1001, "words": 31, "gaussians": 9, "components": 31, "colors": 31,
    "bins": 257, "grid": 9, "patch": 9, "image_size": 33, "crop": 33, "resolution": 61, "frames": 8, "pixels": 131,
    "lines": 31, "points": 41, "directions": 9, "steps": 31, "evaluations": 31, "count": 31, "threads": 3,
    "entries": 31, "fps": 60, "stages": 9, "units": 31, "noise": 1e30,
}  # fmt: skip
"""The largest whole numbers of fields that cost time or memory, by the last part of their keys."""

CHEAP = ("dataset.points_per_class=30", "dataset.test_points_per_class=9")
BUDGETS = {
    **dict.fromkeys(("spirals", "moons", "circles", "xor", "chevrons", "gaussians"), CHEAP),
    "random_regression": ("dataset.examples=30", "dataset.test_examples=9", "loss=squared_error"),
    "image_folder": ("dataset.root=PICTURES",),
    "csv": ("dataset.root=TABLE",),
    "cifar10": ("dataset.root=PICTURES", "dataset.download=false"),
}
OF_PICTURES = ("hog", "bag_of_words", "color_histogram", "color_quantization", "fisher_vector")
EXPERIMENTS = {
    "activations_on_spirals": ("model.activation=relu,maxout",),
    "capacity": ("model.width=3,6",),
    "features_vs_networks": ("dataset=image_folder", "dataset.root=PICTURES", "dataset.image_size=16"),
    "l1_selects": ("regularizer.strength=0,0.1", "dataset.seed=0"),
    "l2_spreads_l1_selects": ("dataset.seed=0,1",),
    "l2_strength": ("regularizer.strength=0,0.1",),
    "linear_vs_mlp": (),
    "loss_slices": (),
    "optimizer_race": (),
    "optimizer_race_cifar10": ("dataset=image_folder", "dataset.root=PICTURES"),
    "polar": ("dataset.seed=0,1",),
    "twenty_lines": (),
    "warp": (),
    "weight_decay": (),
}
FLAGS = ["--cfg=job", "--cfg=hydra", "--cfg=all", "--help", "--hydra-help", "--info", "--info=all", "--info=plugins",
         "--info=defaults-tree", "--info=searchpath", "--resolve", "--package=model", "--package=nope", "--version",
         "--shell-completion", "--config-dir=.", "--config-dir=nowhere", "--config-name=train", "--config-name=nope",
         "--config-path=.", "--run", "-m", "-c", "-h", "--experimental-rerun=x"]  # fmt: skip


class SparingGrammar(Grammar):
    """Draws values that cost little."""

    def number(self, field: Field) -> tuple[str, float]:
        """Draw a number near a bound, or anywhere."""
        most = MOST.get(field.key.rpartition(".")[2])
        for _ in range(50):
            text, value = super().number(field)
            if most is None or value <= most:
                return text, value
        return "1", 1


@functools.cache
def the_grammar(run: Path) -> SparingGrammar:
    """Return the grammar of a process."""
    config = configs.read(RunConfig, run / "config.yaml")
    return SparingGrammar(dataclasses.replace(config, trainer=TrainerConfig()), run)  # as typed, `auto` unresolved


def grammar_of(draw: Draw) -> SparingGrammar:
    """Return the grammar with the random numbers of a draw."""
    grammar = the_grammar(draw.stock.run("mlp"))
    grammar.rng = draw.rng
    return grammar


# ---------------------------------------------------------------- words that run


def right_words(draw: Draw, groups: int, without: Iterable[str] = ()) -> list[str]:
    """Draw words of a small run that are right one by one."""
    grammar = grammar_of(draw)
    words, values = grammar.right_words(groups, without)
    words = [word for word in words if not word.lstrip("+").startswith("dataset.root=")]
    dataset = values.get("dataset", "spirals")
    unsuited = dataset != "image_folder" and "dataset" not in without and values.get("features") in OF_PICTURES
    if (dataset == "cifar10" or unsuited) and draw.rng.random() < 0.9:
        return right_words(draw, groups, without)
    given = {word.lstrip("+").partition("=")[0] for word in words}
    budget = ["trainer.epochs=2", "model.width=8", *BUDGETS[dataset]]
    if draw.rng.random() < 0.8:
        budget.append("trainer.figures=[]")
    if "model" in without or values.get("model") == "linear":
        budget.remove("model.width=8")
    if draw.rng.random() < 0.5:
        budget.append(f"dataset.val_fraction={draw.rng.choice(['0.1', '0.3', '0.5'])}")
    if draw.rng.random() < 0.2:
        budget.append(f"seed={draw.rng.choice([1, 7, 2**31, 2**63 - 1])}")
    words += [word for word in budget if word.partition("=")[0] not in given]
    return [filled(draw, word) for word in words]


def filled(draw: Draw, word: str) -> str:
    """Put paths of the draw into a word."""
    if "PICTURES" in word:
        word = word.replace("PICTURES", quoted(str(pictures(draw))))
    return word.replace("TABLE", quoted(str(draw.stock.table))) if "TABLE" in word else word


def pictures(draw: Draw) -> Path:
    """Return the stock's pictures, copied into a draw."""
    folder = draw.data / "pictures"
    if not folder.exists():
        for path in sorted(draw.stock.pictures.glob("*/*.png")):
            target = folder / path.relative_to(draw.stock.pictures)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return folder


def swept_words(draw: Draw) -> list[str]:
    """Draw words of a small sweep."""
    rng, grammar = draw.rng, grammar_of(draw)
    words = right_words(draw, rng.randint(0, 2))
    taken = {re.split("[.=]", word.lstrip("+"))[0] for word in words}
    jobs = 1
    for _ in range(rng.choice([1, 1, 2])):
        choice, field = grammar.field(int, float, bool)
        if field.group in taken - {"trainer"} or choice:
            continue
        values = list(dict.fromkeys(grammar.right(field)[0] for _ in range(3)))
        jobs *= len(values)
        words = [word for word in words if not word.lstrip("+").startswith(f"{field.key}=")]
        words.append(f"{field.key}={','.join(values)}")
    seeds = [word for word in words if not word.lstrip("+").startswith("seed=")]
    words = [*seeds, "seed=0,1"] if jobs < 5 else words
    return ["-m", *words, "trainer.epochs=2", *conclusion(draw)] if jobs > 1 else ["-m", *seeds, "seed=0,1,2"]


def conclusion(draw: Draw) -> list[str]:
    """Draw words about how a sweep goes, and what becomes of it when its jobs have ended."""
    rng = draw.rng
    metrics = rng.sample([name for name in METRICS if not name.startswith("time/")], 2)  # times differ between runs
    claims = [f"{metrics[0]} {rng.choice(['rises', 'falls'])} with seed", f"{metrics[1]} > {rng.random():.3f}",
              f"{metrics[0]} of seed=0 exceeds seed=1", f"{metrics[1]} of seed=1 equals seed=0", "nothing"]  # fmt: skip
    drawn = {
        "hydra/launcher=basic": 0.4,
        f"sweep.columns=[{','.join(metrics)}]": 0.2,
        f"sweep.claims=['{rng.choice(claims)}']": 0.2,
        f"sweep.measures=[{rng.choice([*MEASURES])}]": 0.15,
        f"sweep.figure={rng.choice([*configs.options('figure')])}": 0.2,
        f"sweep.tune=[{rng.choice(['seed', 'optimizer.lr', 'model.width'])}]": 0.15,
        f"sweep.tune_by={rng.choice(metrics)}": 0.1,
        f"sweep.fuse={rng.choice(['seed', 'features', 'optimizer.lr', 'model.width'])}": 0.1,
        "sweep.fail_fast=true": 0.1,
        "sweep.isolate=true": 0.1,
        "sweep.variants=['optimizer=sgd optimizer.lr=0.1','optimizer=adam']": 0.1,
    }
    words = [word for word, share in drawn.items() if rng.random() < share]
    if "hydra/launcher=basic" not in words:
        words += [f"hydra.launcher.max_stack={rng.choice([1, 2, 3])}"] * (rng.random() < 0.5)
    return words


# ---------------------------------------------------------------- draws


def one_run(draw: Draw) -> None:
    """Train what words say, perhaps again from its own config, with `resume=auto`, or with more epochs."""
    words, place = right_words(draw, draw.rng.randint(1, 5)), "hydra.run.dir=run"
    if draw.rng.random() < 0.1:
        words.append("trainer.preflight=" + draw.rng.choice(["true", "only"]))
    result = draw.run(*words, place)
    if result.status != 0 or not (draw.work / "run").is_dir():
        return
    again = draw.rng.choice(["", "config", "auto", "resume", "more"])
    if again == "config":
        draw.run("--config-dir=run", "--config-name=config", "hydra.run.dir=again")
    elif again == "auto":
        draw.run(*words, place, "resume=auto")
    elif again:
        more = [f"trainer.epochs={draw.rng.randint(1, 9)}"] * (again == "more")
        draw.run("resume=run", *more)


def a_sweep(draw: Draw) -> None:
    """Train jobs, and perhaps all of it again."""
    words = [*swept_words(draw), "hydra.sweep.dir=sweep"]
    result = draw.run(*words)
    if result.status in (0, 4) and draw.rng.random() < 0.5:
        done = {path: path.stat().st_mtime_ns for path in (draw.work / "sweep").glob("*/summary.json")}
        again = draw.run(*words, "resume=auto")
        if again.status != result.status:
            draw.find("a sweep that is started again ends the same", f"{result.status}, then {again.status}")
        ended = {path: path.stat().st_mtime_ns for path in done if '"diverged"' not in path.read_text()}
        if changed := [path.parent.name for path, moment in ended.items() if moment != done[path]]:
            draw.find("a job that is complete is not run again", ", ".join(changed))
    if result.status in (0, 4) and (draw.work / "sweep").is_dir():
        draw.broken += rules.of_sweep(draw.work / "sweep")
        draw.run("sweep=sweep", command="compare")


def a_search(draw: Draw) -> None:
    """Let Optuna search."""
    rng = draw.rng
    words = ["-m", "hydra/sweeper=optuna", f"hydra.sweeper.n_trials={rng.randint(1, 4)}", "hydra.sweeper.n_jobs=2"]
    words.append(f"hydra.sweeper.sampler.seed={rng.randint(0, 99)}")
    words += [f"hydra.sweeper.direction={rng.choice(['maximize', 'maximize', 'minimize', 'upwards'])}"]
    words += ["optimizer.lr=tag(log,interval(1e-5,1e-1))", "model.width=choice(4,8)"][: rng.randint(1, 2)]
    words += ["hydra/launcher=basic"] * (rng.random() < 0.5)
    more = right_words(draw, 1, ["optimizer", "model", "trainer"])
    draw.run(*words, *more, "dataset.val_fraction=0.3", "hydra.sweep.dir=sweep")


def an_experiment(draw: Draw) -> None:
    """Run an experiment of little."""
    name = draw.rng.choice([*EXPERIMENTS])
    words = [f"experiment={name}", "trainer.epochs=2", *EXPERIMENTS[name]]
    if "dataset=image_folder" in words:
        words.append("trainer.batch_size=4")
    elif name not in ("twenty_lines", "loss_slices"):
        words.append("dataset.points_per_class=20")
    if name != "twenty_lines":
        words += [] if any(word.startswith("dataset.seed=") for word in words) else ["seed=0"]
        words += ["hydra/launcher=basic"] * (draw.rng.random() < 0.3)
    if draw.rng.random() < 0.3:
        words += right_words(draw, 1, ["dataset", "trainer"])[:2]
    words = [filled(draw, word) for word in words]
    draw.run(*words, command=draw.rng.choice(["train"] * 5 + ["check_gradients"]))


def wrong_lines(draw: Draw) -> None:
    """Type wrong words, alone, among right ones, and several at once: all are refused."""
    grammar = grammar_of(draw)
    for _ in range(3):
        trials = []
        for _ in range(draw.rng.choice([1, 1, 2, 3])):
            kind = draw.rng.choice([*WRONG, *LINES])
            trial = grammar.line(kind) if kind in LINES else kind(grammar)
            trials.append(grammar.among_right_ones(trial) if trial.command == "train" else trial)
        words = [word for trial in trials if trial.command == trials[0].command for word in trial.words]
        if any("\0" in word or "\ud800" in word or "\udcff" in word for word in words):
            continue  # cannot be typed
        result = draw.run(*words, command=trials[0].command)
        if result.status != 2:
            draw.find("wrong words are refused", f"{result.status}")


def flags(draw: Draw) -> None:
    """Ask for help, configs and the like."""
    command = draw.rng.choice(["train", "evaluate", "visualize", "compare", "check_gradients", "optimizer_paths"])
    for _ in range(2):
        words = [draw.rng.choice(FLAGS) for _ in range(draw.rng.choice([1, 1, 2]))]
        if draw.rng.random() < 0.5 and command == "train":
            words += right_words(draw, 1)
        draw.run(*words, command=command)


def other_commands(draw: Draw) -> None:
    """Measure, draw and compare stock runs, and call the commands that need none."""
    rng, stock = draw.rng, draw.stock
    names = rng.sample(ALONE, rng.randint(1, 3))
    for name in names:
        stock.copy(name, draw.work / name)
    action = rng.choice([evaluations, figures, figures, comparisons, gradients, gradients, paths])
    action(draw, names)


def evaluations(draw: Draw, names: list[str]) -> None:
    """Measure a run, or fuse several."""
    rng = draw.rng
    options = [f"split={rng.choice(['train', 'val', 'test'])}", f"checkpoint={rng.choice(['best', 'last'])}",
               f"fusion={rng.choice(['mean', 'weights'])}", "device=auto"]  # fmt: skip
    runs = [quoted(name) for name in rng.choice([names, ["mlp", "mlp again", "wide"], ["hog", "pixels", "colors"]])]
    for name in (unquoted.strip('"') for unquoted in runs):
        if not (draw.work / name).exists():
            draw.stock.copy(name, draw.work / name)
    words = [f"run={runs[0]}"] if len(runs) == 1 else [f"runs=[{','.join(runs)}]"]
    draw.run(*words, *rng.sample(options, rng.randint(0, 4)), command="evaluate", whole=False)


def figures(draw: Draw, names: list[str]) -> None:
    """Draw figures, with options, of a run, of several, or of a sweep."""
    rng, grammar = draw.rng, grammar_of(draw)
    where = rng.choice([*names, *names, "sweep", "."])
    if where == "sweep":
        draw.stock.copy(rng.choice(SWEEPS), draw.work / where)
    for _ in range(2):
        name = rng.choice([*configs.options("figure")])
        fields = [*fields_of(configs.options("figure")[name], "figure.")]
        words = [f"{field.key}={grammar.right(field)[0]}" for field in rng.sample(fields, min(2, len(fields)))]
        others = {"figure.other": quoted(str(draw.work / names[0])), "figure.metrics": "[train/loss,val/accuracy]"}
        words += [f"{f.key}={others[f.key]}" for f in fields if f.key in others and rng.random() < 0.5]
        if name == "warp_film":
            words += ["figure.frames=3", "figure.pixels=100", "figure.resolution=20"]
        if name == "loss_kinds":
            words += ["figure.directions=2", "figure.steps=2", "figure.points=11"]
        run = [f"run={quoted(where)}"] if rng.random() < 0.9 else []
        draw.run(*run, f"figure={name}", *words, command="visualize")


def comparisons(draw: Draw, names: list[str]) -> None:
    """Compare stock runs."""
    rng = draw.rng
    keys = rng.sample(["optimizer.lr", "model.width", "seed", "model", "dataset", "optimizer", "nope"], 2)
    options = [f"sort={rng.choice([*METRICS])}", f"metrics=[{','.join(rng.sample([*METRICS], 2))}]", "top=1",
               f"heatmap=[{','.join(keys)}]", "html=false", "out=page.html", "out=new/folder/page.html"]  # fmt: skip
    if rng.random() < 0.5:
        draw.stock.copy(rng.choice(SWEEPS), draw.work / "sweep")
        where = [f"sweep={rng.choice(['sweep', '.'])}"]
    else:
        where = [f"runs=[{','.join(quoted(name) for name in names)}]"] if len(names) > 1 else ["sweep=."]
    words = [*where, *rng.sample(options, rng.randint(0, 3))]
    within = [word.partition("=")[2] for word in words if word.startswith("out=")]
    draw.run(*words, command="compare", within=within or ["compare.html", "sweep/compare.html"])


def gradients(draw: Draw, names: list[str]) -> None:
    """Check the gradient of what words say."""
    grammar = grammar_of(draw)
    fields = [*fields_of(CheckConfig, "check.")]
    words = [f"{field.key}={grammar.right(field)[0]}" for field in draw.rng.sample(fields, 2)]
    words = ["check.entries=5", *words] + ["check.curve=false"] * (draw.rng.random() < 0.7)
    draw.run(*right_words(draw, draw.rng.randint(1, 4)), *words, command="check_gradients")


def paths(draw: Draw, names: list[str]) -> None:
    """Lead optimizers over surfaces."""
    rng, grammar = draw.rng, grammar_of(draw)
    surface = rng.choice([*configs.options("surface")])
    fields = [*fields_of(configs.options("surface")[surface], "surface."), *fields_of(OptimizerPathsConfig)]
    fields = [field for field in fields if field.key not in ("start", "optimizers", "remarks", "film")]
    words = [f"{field.key}={grammar.right(field)[0]}" for field in rng.sample(fields, 2)]
    racers = [
        "sgd lr=1e-3 momentum=0.9",
        "adam lr=0.1",
        "lbfgs",
        "rprop",
        "adagrad lr=1",
        "sgd lr=1e9",
        "nope",
        "sgd x=1",
    ]
    if rng.random() < 0.6:
        words.append("optimizers=[" + ",".join(f"'{racer}'" for racer in rng.sample(racers, 2)) + "]")
    if rng.random() < 0.4:
        words.append(f"start=[{rng.choice([0, 1, -4, 1e6, 1e300])},{rng.choice([0, 0.5, -1e-9])}]")
    given = ["steps=9"] * ("steps" not in {word.partition("=")[0] for word in words})
    given += [
        f"film={'true' if rng.random() < 0.1 else 'false'}",
        f"remarks={'true' if rng.random() < 0.1 else 'false'}",
    ]
    draw.run(f"surface={surface}", *words, *given, command="optimizer_paths")
    draw.run(f"show={rng.choice(['lecture', 'all', 'nope'])}", command="optimizers")


def commands(draw: Draw) -> None:
    """Draw a command line of any kind."""
    kinds = [one_run] * 5 + [a_sweep] * 3 + [other_commands] * 3 + [wrong_lines] * 2 + [an_experiment, a_search, flags]
    draw.rng.choice(kinds)(draw)

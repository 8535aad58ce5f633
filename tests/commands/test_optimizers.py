from deeprob.optim.tracks import FAMILY, LECTURE, table_text


def test_the_lectures_six_are_printed(deeprob):
    status, out, err = deeprob(command="optimizers")
    assert (status, err) == (0, "")
    assert f"\n{table_text()}\n" in out
    kept = out.split("one number per weight each:\n\n")[1].splitlines()
    assert len(kept) == len(LECTURE) == 6
    assert kept[0].split() == ["SGD", "nothing"]
    assert kept[-1].split() == ["Adam", "exp_avg,", "exp_avg_sq"]


def test_relatives_too(deeprob):
    status, out, _ = deeprob("show=all", command="optimizers")
    assert status == 0
    assert f"\n{table_text(LECTURE | FAMILY)}\n" in out


def test_a_mistake(deeprob):
    assert deeprob("show=al", command="optimizers") == (2, "", "error: show=al: expected one of lecture, all\n")

import pytest

from sandbox.errors import UsageError
from tasks.suites.swebench.script import take_apart
from tests.tasks.swebench.made import eval_script


def test_what_git_does_is_left_out_and_what_installs_stands_apart() -> None:
    script = take_apart(eval_script("abc", "diff --git a/x b/x\npip install evil\n+1"))
    assert script.tests == ("pytest -rA test_calc.py",)
    assert script.install == ("python -m pip install -e .",)
    assert "git" not in script.test_command
    assert "pip install" not in script.test_command
    assert script.test_command.splitlines()[0] == "source /opt/miniconda3/bin/activate"
    assert script.rebuild_command.splitlines()[-1] == "python -m pip install -e ."


def test_settings_of_the_environment_stay() -> None:
    text = eval_script("abc", "x").replace("git status", "export LANG=en_US.UTF-8")
    assert "export LANG=en_US.UTF-8" in take_apart(text).prepare


def test_several_lines_of_tests_stay_in_their_order() -> None:
    text = eval_script("abc", "x", "pytest a.py\npytest b.py")
    assert take_apart(text).tests == ("pytest a.py", "pytest b.py")


@pytest.mark.parametrize("text", ["", "pytest", ">>>>> End Test Output\n>>>>> Start Test Output"])
def test_a_script_without_its_markers_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="where its tests begin"):
        take_apart(text)

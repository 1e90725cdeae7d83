"""What the documents say exists, and what exists is in them."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import click
import msgspec
import pytest
from click.testing import CliRunner

from firstseen import cli
from firstseen.cli import COMMANDS, main
from firstseen.config import AT_RELOAD, sample, settings
from firstseen.status.families import FAMILIES, Family
from firstseen.status.readiness import CODES
from firstseen.status.report import Status

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("packaging/**/*.md"), *ROOT.glob("tests/**/README.md")]
)
PEERS = (ROOT / "docs/peers.md").read_text()
DOCUMENTS = [path for path in DOCUMENTS if "node_modules" not in path.parts]


def test_the_sample_configuration_is_what_the_settings_say() -> None:
    assert (ROOT / "conf/firstseen.toml").read_text() == sample()


@pytest.mark.parametrize("setting", list(settings()), ids=lambda setting: f"{setting.section}.{setting.key}")
def test_every_setting_is_documented(setting: object) -> None:
    page = (ROOT / "docs/configuration.md").read_text()

    row = f"| `{setting.section}.{setting.key}` | {setting.type} | `{setting.default}` | {setting.description} |"  # type: ignore[attr-defined]

    assert row in page


def test_no_setting_is_documented_that_does_not_exist() -> None:
    page = (ROOT / "docs/configuration.md").read_text()

    named = set(re.findall(r"^\| `([a-z]+\.[^ ]+)` \|", page, re.MULTILINE))

    assert named == {f"{setting.section}.{setting.key}" for setting in settings()}


@pytest.mark.parametrize("setting", sorted(AT_RELOAD))
def test_every_setting_that_a_reload_takes_is_named(setting: str) -> None:
    section = (ROOT / "docs/operations.md").read_text().partition("## Reload")[2].partition("\n## ")[0]
    assert f"`{setting}`" in section


def test_every_file_in_conf_is_documented_and_no_other() -> None:
    named = re.findall(r"^\| `(conf/[^`]+)` \|", PEERS, re.MULTILINE)

    assert sorted(named) == sorted(str(path.relative_to(ROOT)) for path in (ROOT / "conf").rglob("*") if path.is_file())


@pytest.mark.parametrize("setting", sorted(set(re.findall(r"`((?:input|output)\.[a-z_.]+)", PEERS))))
def test_settings_that_the_page_of_peers_names_exist(setting: str) -> None:
    known = {f"{each.section}.{each.key}" for each in settings()}

    assert setting in known or any(each.startswith(f"{setting}.") for each in known)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    assert f"## firstseen {command}" in (ROOT / "docs/commands.md").read_text()


CALLED = re.compile(rf"(?<![\w=-])firstseen ((?:{'|'.join(COMMANDS)})\b(?: [a-z]+\b)?)([^`\n|;&#]*)")


def command_of(words: list[str]) -> click.Command:
    """The command that is called with these words, or the command in it."""
    command: click.Command = main
    for word in words:
        if isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            assert found is not None, f"there is no firstseen {' '.join(words)}"
            command = found
    return command


def leaves(command: click.Command, *words: str) -> Iterator[tuple[str, click.Command]]:
    """The commands in it that do something themselves, with the words that call them."""
    if not isinstance(command, click.Group):
        yield " ".join(words), command
        return
    for word in command.list_commands(click.Context(command)):
        yield from leaves(command_of([*words, word]), *words, word)


@pytest.mark.parametrize(("called", "command"), [*leaves(main)], ids=str)
def test_every_option_is_documented_with_its_command(called: str, command: click.Command) -> None:
    page = (ROOT / "docs/commands.md").read_text()
    general = page.partition("\n## ")[0]
    first, _, second = called.partition(" ")
    text = general + page.partition(f"\n## firstseen {first}\n")[2].partition("\n## ")[0]

    assert second in text
    for option in command.params:
        if isinstance(option, click.Option):
            assert any(f"{name}" in text for name in option.opts), option.opts


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def anchors(document: Path) -> set[str]:
    """What the headlines of a page are called in links, as GitHub makes it of them."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_headlines_that_are_there(document: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]*)\)", document.read_text()):
        assert anchor in anchors(document.parent / target if target else document), f"{target}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_are_called_with_options_that_they_have(document: Path) -> None:
    text = document.read_text().replace("\\\n", " ")
    code = re.findall(r"^ *```[a-z]*\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL))
    assert {word for span in spans for word in re.findall(r"^firstseen ([a-z]+)\b", span)} <= set(COMMANDS)
    for words, rest in CALLED.findall("\n".join([*code, *spans])):
        command = command_of(words.split())
        options = {name for option in command.params for name in option.opts} | {"--help", "-h"}
        assert set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", rest)) <= options, f"firstseen {words}{rest}"


@pytest.mark.parametrize("picture", sorted(ROOT.glob("docs/*.svg")), ids=lambda path: path.name)
def test_pictures_are_whole_and_for_light_and_dark_and_for_those_who_do_not_see_them(picture: Path) -> None:
    text = picture.read_text()
    root = ElementTree.fromstring(text)

    namespace = "{http://www.w3.org/2000/svg}"
    assert [each.tag for each in root[:2]] == [f"{namespace}title", f"{namespace}desc"]
    assert "prefers-color-scheme: dark" in text
    assert set(re.findall(r"(?:href|src)=|url\(([^)]*)|@import", text)) <= {"#head", "#back"}
    assert not [each for each in root.iter() if each.tag in (f"{namespace}script", f"{namespace}image")]


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE)))
)
def test_what_the_readme_says_to_make_can_be_made(target: str) -> None:
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


TARGETS = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "help"])
def test_whoever_contributes_is_told_of_all_that_can_be_made(target: str) -> None:
    assert re.search(rf"\bmake {target}\b", (ROOT / "CONTRIBUTING.md").read_text())


def test_every_exit_code_is_documented_where_people_look_for_it() -> None:
    codes = {str(code) for code in (0, cli.EXIT_FAILED, cli.EXIT_USAGE, cli.EXIT_CONFIG)}

    for page in ("docs/commands.md", "docs/operations.md"):
        assert set(re.findall(r"^\| (\d+) \| ", (ROOT / page).read_text(), re.MULTILINE)) == codes


def test_every_file_that_is_documented_is_in_the_package() -> None:
    build = (ROOT / "packaging/deb/build.sh").read_text() + (ROOT / "packaging/deb/postinst").read_text()
    page = (ROOT / "docs/operations.md").read_text().partition("### Debian")[2].partition("\n### ")[0]
    paths = re.findall(r"^\| `(/[^`]+)` \|", page, re.MULTILINE)

    assert len(paths) > 3
    assert [path for path in paths if path.rstrip("/") not in build] == []


def test_every_rule_that_is_shipped_is_documented_and_has_tests_and_no_other() -> None:
    page = (ROOT / "docs/rules.md").read_text().partition("## The rules that are shipped")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| `(\w+)` \| [^|]+ \|$", page, re.MULTILINE)
    files = [path for path in (ROOT / "rules").glob("*.toml") if not path.name.endswith(".test.toml")]
    rules = [tomllib.loads(path.read_text())["rule"] for path in files]

    assert sorted(rows) == sorted((rule["name"], rule["type"]) for rule in rules)
    assert all(path.with_name(f"{path.stem}.test.toml").exists() for path in files)


def test_the_quick_start_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = re.findall(
        r"^cat > (\S+) <<'END'\n(.*?)^END$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    for name, text in written:
        (tmp_path / name).write_text(text)
    (tmp_path / "rules").symlink_to(ROOT / "rules")
    monkeypatch.chdir(tmp_path)

    validated = CliRunner().invoke(main, ["validate", "-c", "firstseen.toml"], catch_exceptions=False)
    replayed = CliRunner().invoke(main, ["replay", "--rules", "rules", "event.json"], catch_exceptions=False)

    assert validated.output == "firstseen.toml: no problems; 14 of 14 rules run\n"
    assert [alert["rule"]["name"] for alert in json.loads(replayed.stdout)["alerts"]] == [
        "First GetCallerIdentity by an AWS identity"
    ]


@pytest.mark.parametrize("folder", ["conf", "docs", "plugin", "rules"])
def test_nothing_links_out_of_the_checkout(folder: str) -> None:
    links = [path for path in (ROOT / folder).rglob("*") if path.is_symlink()]

    assert [link for link in links if not link.resolve().is_relative_to(ROOT)] == []


METRICS = (ROOT / "docs/metrics.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
HTTP = (ROOT / "docs/http.md").read_text()
REPORT = msgspec.json.schema(Status)["$defs"]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_metric_is_documented(family: Family) -> None:
    labels = ", ".join(f"`{label}`" for label in family.labels)

    assert f"| `{family.name}` | {family.kind} | {labels} | {family.help} |" in METRICS


def test_no_metric_is_documented_that_does_not_exist() -> None:
    known = {family.name for family in FAMILIES}
    suffixed = {f"{family.name}{suffix}" for family in FAMILIES for suffix in ("_bucket", "_count", "_sum")}
    named = set(re.findall(r"\b(?:firstseen|process)_[a-z_]+", f"{METRICS} {OPERATIONS}"))

    assert re.findall(r"^\| `((?:firstseen|process)_[a-z_]+)` \|", METRICS, re.MULTILINE) == [
        family.name for family in FAMILIES
    ]
    assert named <= known | suffixed


@pytest.mark.parametrize("part", sorted(REPORT))
def test_every_key_of_the_report_is_documented_and_no_other(part: str) -> None:
    section = HTTP.partition(f"\n**{part}.** {REPORT[part]['description']}\n")[2].partition("\n**")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", section, re.MULTILINE)

    assert rows == [(key, value["description"]) for key, value in REPORT[part]["properties"].items()]


def test_every_reason_not_to_be_ready_is_documented_and_no_other() -> None:
    section = HTTP.partition("\n## Ready\n")[2].partition("\n## ")[0]

    assert dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", section, re.MULTILINE)) == dict(CODES)

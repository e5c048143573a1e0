"""The pages lead somewhere, and name what the program reads, records and needs: all of it, and nothing else."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources.prometheus_api import ENVIRONMENT as PROMETHEUS
from otel_llm_routing.generate.collector import configurations, targets
from otel_llm_routing.instrument import environment
from otel_llm_routing.models import RULES_VARIABLE
from otel_llm_routing.serve.self_metrics import PREFIX, exposition
from otel_llm_routing.serve.store import Store

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
TEXT = {page.relative_to(ROOT).as_posix(): page.read_text("utf-8") for page in PAGES}
OURS = re.compile(r"OTEL_LLM_ROUTING_[A-Z_]+")


def prose(page):
    """Return the text of a page without its examples."""
    return re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE):
        words = re.sub(r"\[([^]]*)]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
        times = sum(re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", other) is not None for other in found)
        found.append(f"{anchor}-{times}" if times else anchor)
    return found


def links(page):
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if "://" not in link]


@pytest.mark.parametrize("page", PAGES, ids=list(TEXT))
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_leads_to_every_page():
    led = {(ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md")}
    assert [page for page in PAGES if page.parent in {ROOT, DOCS} and page not in led] == [ROOT / "README.md"]


def test_the_pages_name_every_variable_that_the_program_reads_and_no_other():
    read = {value for name, value in vars(environment).items() if name.isupper() and OURS.fullmatch(str(value))}
    read |= {RULES_VARIABLE, *(PROMETHEUS + name for name in ("USER", "PASSWORD", "TOKEN", "TENANT", "CA"))}
    assert len(read) > 10
    named = set(OURS.findall("\n".join(TEXT.values())))
    assert "`…_PASSWORD`" in TEXT["docs/sources.md"]
    assert named | {PROMETHEUS + "PASSWORD"} == read


def test_the_page_about_the_collector_names_every_variable_that_may_be_left_out():
    written = "\n".join(configurations(targets()).values())
    optional = set(re.findall(r"\$\{env:(\w+):-", written))
    assert len(optional) > 10
    assert optional == set(re.findall(r"`(LLM_ROUTING_\w+)`", TEXT["docs/collector.md"]))


@pytest.mark.parametrize("name", sorted({v for k, v in vars(semconv).items() if k.isupper() and isinstance(v, str)}))
def test_the_page_about_a_call_names_every_attribute_and_metric_of_ours(name):
    if name.startswith("llm_routing."):
        assert f"`{name}`" in TEXT["docs/instrumentation.md"]
    else:
        assert name.startswith(("gen_ai.", "openai.", "server.", "error.", "otel_llm_routing"))


def test_the_page_about_the_backend_names_every_metric_of_its_own(tmp_path):
    store = Store(str(tmp_path / "store.db"))
    shown = set(re.findall(rf"^{PREFIX}_(\w+) ", exposition(store), re.MULTILINE))
    store.close()
    [table] = re.findall(rf"\| `{PREFIX}_…` .*\n((?:\|.*\n)+)", TEXT["docs/serve.md"])
    assert set(re.findall(r"`(\w+)`", table)) - {"other"} == shown


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is of Python 3.11")
def test_the_page_about_what_is_installed_names_every_extra():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(re.findall(r"^\| `(\w+)` \|", TEXT["docs/supply-chain.md"], re.MULTILINE)) == set(extras)

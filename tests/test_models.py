"""Model identifiers: kinds, spellings, hosts, the rules as data, the user's rules, the command line, the docs."""

import json
import logging
import random
import re
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from otel_llm_routing import models
from otel_llm_routing.cli.models import app
from otel_llm_routing.models import rules as rules_module

DOCS = Path(__file__).parent.parent / "docs" / "models.md"
RULES = models.builtin_rules()
IDENTIFIERS = sorted({example for rule in RULES for example in rule.examples})


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.delenv(models.RULES_VARIABLE, raising=False)
    models.forget()
    yield
    models.forget()


KINDS = """
openai             gpt-5-2025-08-07                                  pinned
openai             gpt-4-0613                                        pinned
openai             gpt-3.5-turbo-0125                                pinned
openai             gpt-4-1106-preview                                pinned
openai             gpt-4-0125-preview                                pinned
openai             ft:gpt-4o-mini-2024-07-18:acme::1                 pinned
openai             gpt-5                                             alias
openai             GPT-5                                             alias
openai             gpt-4.1                                           alias
openai             o3                                                alias
openai             gpt-4o-mini                                       alias
openai             gpt-5-chat-latest                                 alias
openai             chat-latest                                       alias
openai             chatgpt-4o-latest                                 alias
openai             gpt-6.2-astra                                     unknown
openai             gpt-6-sol                                         unknown
openai             gpt-5.6-luna                                      unknown
openai             text-embedding-3-large                            unknown
openai             text-embedding-ada-002                            unknown
openai             our-own-model                                     unknown
anthropic          claude-haiku-4-5                                  alias
anthropic          claude-sonnet-4-5                                 alias
anthropic          claude-3-5-haiku-latest                           alias
anthropic          claude-haiku-4-5-20251001                         pinned
anthropic          claude-opus-4-6                                   pinned
anthropic          claude-sonnet-5                                   pinned
anthropic          claude-haiku-5-5                                  pinned
anthropic          claude-mythos-preview                             unknown
gcp.gemini         gemini-flash-latest                               alias
gcp.gemini         gemini-1.5-pro                                    alias
gcp.gemini         models/gemini-2.5-flash                           pinned
gcp.gemini         gemini-2.0-flash-001                              pinned
gcp.gemini         gemini-2.5-flash-preview-09-2025                  pinned
gcp.vertex_ai      gemini-2.5-flash                                  alias
gcp.vertex_ai      gemini-2.0-flash-001                              pinned
gcp.vertex_ai      publishers/google/models/gemini-2.0-flash-001     pinned
gcp.vertex_ai      claude-haiku-4-5@20251001                         pinned
gcp.vertex_ai      claude-haiku-4-5@default                          alias
gcp.vertex_ai      claude-haiku-4-5@latest                           alias
gcp.vertex_ai      model-optimizer-exp-04-09                         router
azure.ai.openai    gpt-5                                             unknown
azure.ai.openai    gpt-5-2025-08-07                                  unknown
azure.ai.openai    production                                        unknown
azure.ai.openai    model-router                                      router
azure.ai.inference claude-opus-4-6                                   unknown
aws.bedrock        anthropic.claude-haiku-4-5-20251001-v1:0          pinned
aws.bedrock        us.anthropic.claude-haiku-4-5-20251001-v1:0       pinned
aws.bedrock        global.anthropic.claude-sonnet-4-6                pinned
aws.bedrock        amazon.nova-pro-v1:0                              pinned
aws.bedrock        arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0                             pinned
aws.bedrock        arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0             pinned
aws.bedrock        arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/anthropic.claude:1              router
aws.bedrock        arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:prompt-router/abc123                       router
aws.bedrock        arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123                  unknown
mistral_ai         mistral-large-2411                                pinned
mistral_ai         mistral-medium-3.1                                pinned
mistral_ai         mistral-large-latest                              alias
mistral_ai         mistral-large                                     alias
x_ai               grok-4-0709                                       pinned
x_ai               grok-4                                            alias
x_ai               grok-latest                                       alias
deepseek           deepseek-v4-flash                                 alias
deepseek           deepseek-chat                                     alias
cohere             command-r-plus-08-2024                            pinned
cohere             command-r                                         alias
groq               llama-3.3-70b-versatile                           pinned
groq               groq/compound-mini                                router
fireworks          accounts/fireworks/models/llama-v3p1-8b-instruct  pinned
fireworks          accounts/fireworks/routers/fast                   router
openrouter         anthropic/claude-haiku-4.5                        pinned
openrouter         ~anthropic/claude-sonnet-latest                   alias
openrouter         openrouter/auto                                   router
openrouter         openrouter/auto-beta                              router
openrouter         openrouter/fusion                                 router
openrouter         meta-llama/llama-3.3-70b-instruct:floor           router
openrouter         meta-llama/llama-3.3-70b-instruct:free            pinned
openrouter         openai/gpt-5.2:online                             pinned
openrouter         openrouter/auto:online                            router
openrouter         @preset/support                                   unknown
openrouter         anthropic/claude-sonnet-4.5@preset/support        unknown
anthropic          claude-opus-4-6[1m]                               pinned
anthropic          claude-3-7-sonnet-20250219[1m]                    pinned
anthropic          claude-sonnet-4-5[1m]                             alias
anthropic          claude-v-4-6                                      unknown
aws.bedrock        bedrock/eu-central-1/amazon.nova-lite-v1:0        pinned
aws.bedrock        bedrock/us-gov-west-1/anthropic.claude-3-haiku-20240307-v1:0  pinned
x_ai               grok-imagine-image-20260403                       pinned
mistral_ai         labs-devstral-small-2512                          pinned
moonshot_ai        moonshot-v1-auto                                  router
moonshot_ai        kimi-latest                                       alias
openai             openai/responses/gpt-5-mini                       alias
azure.ai.inference azure_ai/model_router/ours                        router
azure.ai.openai    chat-latest                                       unknown
perplexity         sonar-latest                                      alias
unknown            qwen-plus-2025-09-11                              pinned
unknown            qwen-turbo                                        alias
unknown            qwen-flash-latest                                 alias
unknown            qwen3-next-80b-a3b-instruct                       unknown
unknown            our-latest-model                                  unknown
ollama             smollm2:latest                                    alias
litellm            our-group                                         unknown
litellm            auto_router/tiers                                 router
cloudflare         dynamic/support                                   router
cloudflare         cloudflare/auto                                   router
cloudflare         openai/gpt-5                                      alias
cloudflare         baseten/some-model                                pinned
huggingface        openai/gpt-oss-120b                               alias
huggingface        openai/gpt-oss-120b:groq                          pinned
huggingface        openai/gpt-oss-120b:cheapest                      router
github             auto                                              router
"""


@pytest.mark.parametrize(("provider", "model", "kind"), [line.split() for line in KINDS.strip().splitlines()])
def test_a_provider_s_identifier_has_the_kind_its_documentation_gives_it(provider, model, kind):
    assert models.kind_of(model, provider) == kind
    assert models.classify(model, provider).kind == kind


@pytest.mark.parametrize(
    ("requested", "provider", "served", "match"),
    [
        ("openai/gpt-4o:online", "openrouter", "openai/gpt-4o", "exact"),
        ("deepseek/deepseek-r1:free", "openrouter", "deepseek/deepseek-r1:free", "exact"),
        ("deepseek/deepseek-r1:free", "openrouter", "deepseek/deepseek-v3", "substituted"),
        ("openai/gpt-5@preset/ours", "openrouter", "openai/gpt-5", "resolved"),
        ("openrouter/auto:online", "openrouter", "openai/gpt-5", "resolved"),
        ("claude-opus-4-6[1m]", "anthropic", "claude-opus-4-6", "exact"),
        ("claude-opus-4-6[1m]", "anthropic", "claude-sonnet-4-6", "substituted"),
        ("claude-sonnet-4-5[1m]", "anthropic", "claude-sonnet-4-5-20250929", "resolved"),
        ("bedrock/us-east-1/anthropic.claude-3-haiku-20240307-v1:0", "aws.bedrock", "claude-3-haiku-20240307", "exact"),
        ("kimi-latest", "moonshot_ai", "kimi-latest", "unconfirmed"),
        ("kimi-latest", "moonshot_ai", "kimi-k3", "resolved"),
        ("qwen-plus", "openai", "qwen-plus", "unconfirmed"),
        ("zai/glm-4.6", "zai", "glm-4.6", "exact"),
    ],
)
def test_a_served_model_is_compared_with_the_part_that_names_the_model(requested, provider, served, match):
    assert models.match(requested, provider, served) == match


@pytest.mark.parametrize(
    ("model", "provider", "kind"),
    [
        ("gpt-5", "openai", "alias"),
        ("claude-haiku-4-5-20251001", "anthropic", "pinned"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "aws.bedrock", "pinned"),
        ("claude-haiku-4-5@20251001", "gcp.vertex_ai", "pinned"),
        ("gemini-flash-latest", "gcp.gemini", "alias"),
        ("openrouter/auto", None, "router"),
        ("model-router", None, "router"),
        ("something-else", None, "unknown"),
    ],
)
def test_without_a_provider_the_identifier_tells_whose_it_is(model, provider, kind):
    found = models.classify(model)
    assert (found.provider, found.kind) == (provider, kind)


@pytest.mark.parametrize("provider", ["openai", "a-gateway-nobody-knows"])
@pytest.mark.parametrize(
    ("model", "kind"),
    [("claude-haiku-4-5-20251001", "pinned"), ("anthropic/claude-haiku-4-5", "alias"), ("openrouter/auto", "router")],
)
def test_behind_a_compatible_endpoint_other_owners_rules_apply(provider, model, kind):
    assert models.kind_of(model, provider) == kind


@pytest.mark.parametrize("older", ["az.ai.openai", "azure", "AZURE.AI.OPENAI"])
def test_older_names_of_a_provider_mean_the_same_provider(older):
    assert models.kind_of("gpt-5", older) == "unknown"


def _odd_strings():
    yield from ("", " ", "\n", "/", "::", "~", "@", "\x00", "\ud800", "İ" * 200, "(" * 200, "openai/", "models/models/")
    yield from ("us.anthropic.", "claude-", "x" * 256, "x" * 257, "openai/" * 100_000, "arn:aws:bedrock:::" * 10)
    chance = random.Random(7)
    pieces = [*"./-:@~0149vé \n", "openai/", "us.", "anthropic.", "claude-", "gpt-35-turbo", "-v1:0", "@20251001"]
    pieces += ["20251001", "4.5", "arn:aws:bedrock:us-east-1::foundation-model/", "publishers/google/models/"]
    for _ in range(3000):
        yield "".join(chance.choices(pieces, k=chance.randint(1, 12)))


def test_no_string_makes_a_question_raise():
    for text in _odd_strings():
        for provider in (None, "openai", "aws.bedrock", "", text):
            assert models.kind_of(text, provider) in models.KINDS
        models.same_model(text, "gpt-5")
        models.provider_of_host(text)


def test_what_is_longer_than_an_identifier_is_unknown():
    assert models.kind_of("claude-" + "a" * 250 + "-20251001", "anthropic") == "unknown"
    assert models.kind_of("x" * 100_000, "groq") == "unknown"


def test_answers_are_remembered_but_not_without_bound():
    for number in range(10_000):
        models.kind_of(f"model-{number}", "openai")
    assert len(rules_module._kinds) <= 4096


def test_no_identifier_takes_long_to_classify():
    hostile = ["a-" * 128, "gpt-" + "0-" * 126, "claude-" + "4-" * 124, "a." * 128, "mistral" + "-a" * 124]
    for text in hostile:
        start = time.process_time()
        models.classify(text)
        models.classify(text, "aws.bedrock")
        assert time.process_time() - start < 0.25


SAME = [
    ("anthropic/claude-opus-4.6", "claude-opus-4-6"),
    ("GPT-4o", "gpt-4o"),
    ("openai/gpt-5", "gpt-5"),
    ("@openai-prod/gpt-5", "gpt-5"),
    ("models/gemini-2.5-flash", "gemini-2.5-flash"),
    ("publishers/google/models/gemini-2.0-flash-001", "gemini-2.0-flash-001"),
    ("projects/p/locations/us-central1/publishers/google/models/gemini-2.0-flash", "google/gemini-2.0-flash"),
    ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5-20251001"),
    ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "apac.anthropic.claude-haiku-4-5-20251001-v1:0"),
    ("us-gov.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
    ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", "global.amazon.nova-pro-v1:0"),
    ("bedrock/converse/us.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
    ("claude-haiku-4-5@20251001", "claude-haiku-4-5-20251001"),
    ("claude-3-5-sonnet-v2@20241022", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
    ("openrouter/anthropic/claude-opus-4.6", "anthropic/claude-opus-4.6"),
    ("openrouter/auto", "auto"),
    ("gpt-35-turbo-0613", "gpt-3.5-turbo-0613"),
]
DIFFERENT = [
    ("@cf/meta/llama-3.1-8b-instruct", "meta/llama-3.1-8b-instruct"),
    ("gpt-5", "gpt-5-2025-08-07"),
    ("gpt-4.1", "gpt-4-1106-preview"),
    ("gpt-4", "gpt-4o"),
    ("claude-haiku-4-5", "claude-haiku-4-5-20251001"),
    ("claude-haiku-4-5@default", "claude-haiku-4-5@20251001"),
    ("claude-3-5-sonnet-20240620", "claude-3-5-sonnet-20241022"),
    ("anthropic.claude-v2", "anthropic.claude-v2:1"),
    ("amazon.titan-embed-text-v1", "amazon.titan-embed-text-v2:0"),
    ("meta-llama/llama-3", "other/llama-3"),
    ("meta-llama/llama-3.3-70b-instruct", "meta-llama/llama-3.3-70b-instruct:free"),
    ("gemini-2.0-flash", "gemini-2.0-flash-001"),
    ("openrouter/auto", "openrouter/auto-beta"),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_spellings_of_one_identifier_are_the_same(a, b):
    assert models.same_model(a, b)
    assert models.same_model(b, a)


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_different_identifiers_are_never_the_same(a, b):
    assert not models.same_model(a, b)


def test_an_undated_name_never_equals_a_longer_one_that_begins_with_it():
    spelled = {name: models.canonical(name) for name in IDENTIFIERS}
    for name in IDENTIFIERS:
        for suffix in ("-2025-08-07", "-20251001", "-0613", "-latest", "-mini"):
            assert models.canonical(name + suffix) != spelled[name]


def test_the_canonical_spelling_of_a_canonical_spelling_is_itself():
    for text in [*_odd_strings(), *IDENTIFIERS]:
        once = models.canonical(text)
        assert models.canonical(once) == once, text


HOSTS = """
api.openai.com                             openai
eu.api.openai.com                          openai
API.OPENAI.COM.                            openai
api.openai.com:443                         openai
acme.openai.azure.com                      azure.ai.openai
acme.services.ai.azure.com                 azure.ai.inference
api.anthropic.com                          anthropic
bedrock-runtime.us-east-1.amazonaws.com    aws.bedrock
bedrock-mantle.us-east-1.api.aws           aws.bedrock
us-central1-aiplatform.googleapis.com      gcp.vertex_ai
aiplatform.googleapis.com                  gcp.vertex_ai
aiplatform.eu.rep.googleapis.com           gcp.vertex_ai
generativelanguage.googleapis.com          gcp.gemini
api.groq.com                               groq
api.deepseek.com                           deepseek
api.x.ai                                   x_ai
api.mistral.ai                             mistral_ai
api.perplexity.ai                          perplexity
api.cohere.com                             cohere
openrouter.ai                              openrouter
api.together.xyz                           together
api.fireworks.ai                           fireworks
api.cerebras.ai                            cerebras
router.huggingface.co                      huggingface
gateway.ai.cloudflare.com                  cloudflare
evil-openai.com                            -
api.openai.com.evil.net                    -
openai.com.evil.net                        -
notx.ai                                    -
s3.us-east-1.amazonaws.com                 -
storage.googleapis.com                     -
localhost                                  -
127.0.0.1:8080                             -
127.0.0.1:11434                            ollama
api.openai.com:11434                       openai
::1                                        -
"""


@pytest.mark.parametrize(("host", "provider"), [line.split() for line in HOSTS.strip().splitlines()])
def test_a_host_belongs_to_the_provider_whose_domain_it_is_in(host, provider):
    assert models.provider_of_host(host) == (None if provider == "-" else provider)


def test_every_provider_says_where_its_hosts_were_read():
    path = Path(rules_module.__file__).with_name("providers.json")
    data = json.loads(path.read_text("utf-8"))
    names = [entry["name"] for entry in data["providers"]]
    assert len(names) == len(set(names))
    for entry in [*data["providers"], data["bedrock"]]:
        assert entry["source"].strip()
    assert {rule.provider for rule in RULES} - {None} <= set(names)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_has_source_evidence_note_and_examples(rule):
    assert rule.source
    assert rule.note
    assert rule.evidence in rules_module.EVIDENCE
    assert rule.kind in models.KINDS
    assert re.compile(rule.pattern)
    assert rule.examples


@pytest.mark.parametrize(("rule", "example"), [(rule, example) for rule in RULES for example in rule.examples])
def test_every_example_is_decided_by_its_own_rule(rule, example):
    assert models.classify(example, rule.provider).rule == rule
    if rule.scope == "anywhere":
        assert models.classify(example).rule == rule


def _write(folder, *entries, text=None):
    path = folder / "rules.json"
    path.write_text(text if text is not None else json.dumps({"rules": list(entries)}), encoding="utf-8")
    return path


OWN = {
    "id": "acme-production",
    "provider": "azure.ai.openai",
    "kind": "pinned",
    "pattern": "production",
    "source": "our Terraform: versionUpgradeOption NoAutoUpgrade",
}


def test_the_user_s_rules_come_before_the_built_in_ones(tmp_path, monkeypatch):
    assert models.kind_of("production", "azure.ai.openai") == "unknown"
    monkeypatch.setenv(models.RULES_VARIABLE, str(_write(tmp_path, OWN)))
    models.forget()
    assert models.kind_of("production", "azure.ai.openai") == "pinned"
    assert models.classify("production", "azure.ai.openai").rule.id == "acme-production"
    assert models.kind_of("gpt-5", "openai") == "alias"


BROKEN = [
    ({**OWN, "source": ""}, r"entry 1 \('acme-production'\).*'source'.*say where you read it"),
    ({**OWN, "kind": "fixed"}, r"'kind' is 'fixed': write one of pinned, alias, router, unknown"),
    ({**OWN, "pattern": "("}, r"'pattern' is not a regular expression"),
    ({**OWN, "evidence": "Z"}, r"'evidence' is 'Z'"),
    ({**OWN, "evidence": []}, r"'evidence' is \[\]"),
    ({**OWN, "patern": "x"}, r"unknown field 'patern'"),
    ({**OWN, "provider": 3}, r"'provider' is not a string"),
    ({**OWN, "examples": ["staging"]}, r"does not match its example 'staging'"),
    ({**OWN, "provider": None, "scope": "provider"}, r"needs a provider"),
    ("production", r"entry 1: is not an object"),
]


@pytest.mark.parametrize(("entry", "message"), BROKEN)
def test_a_broken_rule_is_refused_with_file_entry_and_remedy(tmp_path, entry, message):
    path = _write(tmp_path, entry)
    with pytest.raises(models.RulesError, match=message) as caught:
        models.load_rules(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("text", "message"), [("{", "line 1.*not JSON"), ("[]", "no list of rules"), ("[" * 100_000, "not JSON")]
)
def test_a_file_that_is_no_list_of_rules_is_refused(tmp_path, text, message):
    with pytest.raises(models.RulesError, match=message):
        models.load_rules(_write(tmp_path, text=text))


def test_an_id_used_twice_is_refused(tmp_path):
    with pytest.raises(models.RulesError, match=r"entry 2.*taken"):
        models.load_rules(_write(tmp_path, OWN, OWN))


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "latin.json").write_bytes(b"\xff")
    for path in (tmp_path / "absent.json", tmp_path, tmp_path / "latin.json", "a\0b"):
        with pytest.raises(models.RulesError):
            models.load_rules(path)


def test_in_an_application_a_broken_file_is_logged_once_and_left_out(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(models.RULES_VARIABLE, str(_write(tmp_path, {**OWN, "kind": "fixed"})))
    models.forget()
    with caplog.at_level(logging.ERROR):
        assert models.kind_of("gpt-5", "openai") == "alias"
        assert models.kind_of("openrouter/auto") == "router"
    assert len(caplog.records) == 1
    assert "write one of pinned" in caplog.text


def _run(*arguments):
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "100"})


def test_the_command_names_the_rule_its_evidence_and_its_source():
    result = _run("classify", "--json", "--provider", "openai", "gpt-5", "no-such-model")
    known, unknown = json.loads(result.stdout)
    assert (known["kind"], known["rule"], known["evidence"]) == ("alias", "openai-undated", "C")
    assert known["source"].startswith("openai 3.54.0")
    assert (unknown["kind"], unknown["rule"]) == ("unknown", None)


def test_the_command_asks_the_rules_of_a_file_first(tmp_path):
    path = _write(tmp_path, OWN)
    result = _run("classify", "--json", "--provider", "azure.ai.openai", "--rules", str(path), "production")
    assert json.loads(result.stdout)[0]["rule"] == "acme-production"


def test_the_command_refuses_a_broken_file(tmp_path, monkeypatch):
    path = _write(tmp_path, {**OWN, "kind": "fixed"})
    by_option = _run("classify", "--rules", str(path), "gpt-5")
    monkeypatch.setenv(models.RULES_VARIABLE, str(path))
    by_environment = _run("classify", "gpt-5")
    for result in (by_option, by_environment):
        assert result.exit_code == 2
        assert "write one of pinned" in result.stderr


def test_an_identifier_that_looks_like_markup_is_printed_as_it_is():
    assert "[red]x" in _run("classify", "[red]x").stdout


def _squeezed(text):
    """Without the spaces at the ends of lines, which editors take away."""
    return [line.rstrip() for line in text.strip().splitlines()]


def test_the_docs_show_what_the_command_prints():
    blocks = re.findall(r"```console\n\$ otel-llm-routing models (.+)\n((?:.*\n)*?)```", DOCS.read_text("utf-8"))
    assert blocks
    for command, output in blocks:
        assert _squeezed(_run(*command.split()).stdout) == _squeezed(output)


def test_the_docs_example_of_own_rules_is_accepted(tmp_path):
    (text,) = re.findall(r"```json\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert models.load_rules(_write(tmp_path, text=text))


def test_the_docs_example_in_python_holds():
    (text,) = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    exec(text, {})  # noqa: S102

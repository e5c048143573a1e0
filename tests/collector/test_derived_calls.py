"""What counts as a model call, and as which: the Collector's answer beside that of ``model_span`` and ``models``."""

from __future__ import annotations

import zlib
from collections import Counter

import components
import pytest
from collectors import Collector, spans, written

from otel_llm_routing.model_span import models_of, operation_of
from otel_llm_routing.models import kind_of, match, provider_name
from otel_llm_routing.models.rules import builtin_rules
from otel_llm_routing.policy import loading

pytestmark = pytest.mark.timeout(600)

POLICY = """
version: 1
surfaces:
  complete: {match: ["/api/complete*", "/v[12]/x?"], uses: {router: openrouter/auto}}
  "it's $HOME \\"now\\"": {match: "/api/odd", uses: {router: openrouter/auto}}
  digest: {match: "task:digest.*", uses: {router: openrouter/auto}}
  called: {match: "rpc:shop.Search/*", uses: {router: openrouter/auto}}
  named: {match: "name:GET *", uses: {router: openrouter/auto}}
"""
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.response.model": "gpt-5-2025-08-07",
}


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("derive")
    (folder / "policy.yaml").write_text(POLICY)
    config = written(folder / "config", policy=loading.load(folder / "policy.yaml")) / "derive-from-spans.yaml"
    with Collector(folder, config) as running:
        yield running


@pytest.fixture
def count(collector, request):
    """Return how to send spans and read what was counted of them: {labels: calls}, without the service's."""

    def send_and_count(*given, **more):
        service = f"{zlib.crc32(request.node.name.encode()):x}-{send_and_count.number}"
        send_and_count.number += 1
        resource = {"service.name": service, **more.pop("resource", {})}
        last = {**CALL, "llm_routing.surface": "the last of them"}
        document = spans(*given, resource=resource, **more)
        document["resourceSpans"] += spans(last, resource=resource)["resourceSpans"]
        collector.send("traces", document)

        before = []

        def counted():
            # Counts of one batch come in one after the other: they are all there when nothing is added any more.
            found = collector.scrape(service)
            before.append(found)
            marked = any(labels["llm_routing_surface"] == "the last of them" for labels, _ in found)
            return found if marked and before[-2:] == [found, found] else None

        counts = Counter()
        for labels, value in components.wait_for(f"counts of {service}", counted):
            if labels["llm_routing_surface"] != "the last of them":
                ours = ((name, of) for name, of in labels.items() if name not in ("job", "instance"))
                counts[tuple(sorted(ours))] += value
        return counts

    send_and_count.number = 0
    return send_and_count


def one(counts):
    """Return the labels of the only series."""
    ((labels, _),) = counts.items()
    return dict(labels)


def test_one_call_is_counted_with_the_labels_that_the_instrumentation_gives(count):
    ((labels, calls),) = count(CALL).items()
    assert calls == 1
    assert dict(labels) == {
        "llm_routing_surface": "unknown",
        "gen_ai_provider_name": "openai",
        "gen_ai_operation_name": "chat",
        "gen_ai_request_model": "gpt-5",
        "gen_ai_response_model": "gpt-5-2025-08-07",
        "llm_routing_request_kind": "alias",
        "llm_routing_match": "resolved",
        "llm_routing_served_source": "body",
    }


def test_what_logfire_makes_besides_the_span_of_a_call_is_no_call(count):
    repeats = ({**CALL, "logfire.span_type": kind} for kind in ("log", "pending_span"))
    ((_, calls),) = count({**CALL, "logfire.span_type": "span"}, *repeats).items()
    assert calls == 1


def pairs():
    """Yield (provider, requested, served): every rule's examples, as asked for and as served, by several providers."""
    served = ("gpt-5-2025-08-07", "GPT-5", "openrouter/auto", "claude-haiku-4-5-20251001", None)
    for rule in builtin_rules():
        for example in rule.examples:
            for provider in {rule.provider or "openai", "openai", "unknown", "huggingface"}:
                for name in (*served, example, f"models/{example.upper()}", example.replace("4-5", "4.5")):
                    yield provider, example, name
                yield provider, "gpt-5", example
    yield from (
        ("anthropic", "us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4.5-20251001"),
        ("anthropic", "claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet-20241022"),
        ("azure", "azure/gpt-35-turbo", "gpt-3.5-turbo"),
        ("Azure_OpenAI", "my-deployment", "my-deployment"),
        ("aws.bedrock", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        (
            "gcp.vertex_ai",
            "projects/p/locations/l/publishers/google/models/gemini-2.0-flash-001",
            "gemini-2.0-flash-001",
        ),
        ("portkey", "@my-slug/gpt-5", "gpt-5"),
        ("cloudflare", "@cf/meta/llama-3-8b", "@cf/meta/llama-3-8b"),
        ("portkey", "@cfo/gpt-5", "gpt-5"),
        ("portkey", "@c/gpt-5", "gpt-5"),
        ("openai", "  gpt-5\u200b ", "gpt-5"),
        ("openai", "a.b.1.2.3.4", "a.b.1-2-3-4"),
        ("openai", "$HOME/${env:HOME}", "'quoted' \"twice\" \\1"),
        ("openai", None, "gpt-5"),
        ("openai", None, None),
        ("", "gpt-5", "gpt-5"),
        ("openai", "x" * 300, "x" * 299),
        ("anthropic", "claude-v-4-6", "claude-opus-4-6"),
    )


def test_kind_and_match_are_those_that_an_application_decides(count):
    given = sorted(set(pairs()), key=str)
    sent, expected = [], Counter()
    for number, (provider, requested, served) in enumerate(given):
        named = {"gen_ai.provider.name": provider, "gen_ai.request.model": requested, "gen_ai.response.model": served}
        span = {name: value for name, value in named.items() if value is not None}
        sent.append({**span, "gen_ai.operation.name": "chat", "llm_routing.surface": str(number)})
        known = provider_name(provider) or "unknown"
        asked, got = models_of(span)
        expected[str(number)] = (
            known,
            asked or "",
            got or "",
            kind_of(asked, known) if asked else "unknown",
            match(asked, known, got),
        )
    counts = count(*sent)
    found = {}
    for labels, calls in counts.items():
        said = dict(labels)
        assert calls == 1, said
        names = ("gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model")
        more = ("llm_routing_request_kind", "llm_routing_match")
        found[said["llm_routing_surface"]] = tuple(said.get(name, "") for name in (*names, *more))
    assert len(given) > 500
    wrong = {given[int(key)]: (found.get(key), value) for key, value in expected.items() if found.get(key) != value}
    assert not wrong, list(wrong.items())[:10]


SHAPES = {
    "GenAI chat": {"gen_ai.operation.name": "chat", "gen_ai.request.model": "a", "gen_ai.response.model": "b"},
    "GenAI completion": {"gen_ai.operation.name": "text_completion", "gen_ai.request.model": "a"},
    "GenAI embeddings": {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "a"},
    "GenAI content": {"gen_ai.operation.name": "generate_content", "gen_ai.response.model": "b"},
    "GenAI agent": {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "a"},
    "GenAI tool": {"gen_ai.operation.name": "execute_tool"},
    "an agent that OpenLLMetry calls a chat": {"gen_ai.operation.name": "invoke_agent", "llm.request.type": "chat"},
    "an operation that is no text": {"gen_ai.operation.name": 7, "gen_ai.request.model": "a"},
    "OpenInference": {
        "openinference.span.kind": "LLM",
        "llm.model_name": "served-1",
        "llm.invocation_parameters": '{"model": "asked-1", "temperature": 0}',
    },
    "OpenInference with both": {
        "openinference.span.kind": "LLM",
        "llm.model_name": "wrong",
        "llm.invocation_parameters": '{"model": "wrong"}',
        "gen_ai.request.model": "a",
        "gen_ai.response.model": "b",
    },
    "OpenInference with broken parameters": {
        "openinference.span.kind": "LLM",
        "llm.model_name": "served-1",
        "llm.invocation_parameters": '{"model": "asked-1"',
    },
    "OpenInference with parameters that are no object": {
        "openinference.span.kind": "LLM",
        "llm.invocation_parameters": '["model"]',
    },
    "OpenInference with a model that is no text": {
        "openinference.span.kind": "LLM",
        "llm.model_name": "served-1",
        "llm.invocation_parameters": '{"model": {"name": "x"}}',
    },
    "OpenInference embedding": {"openinference.span.kind": "EMBEDDING", "llm.model_name": "e"},
    "OpenInference chain": {"openinference.span.kind": "CHAIN", "llm.model_name": "e"},
    "OpenInference chain that OpenLLMetry calls a chat": {
        "openinference.span.kind": "CHAIN",
        "llm.request.type": "chat",
    },
    "OpenLLMetry chat": {"llm.request.type": "chat", "gen_ai.request.model": "a", "gen_ai.response.model": "b"},
    "OpenLLMetry completion": {"llm.request.type": "completion", "gen_ai.request.model": "a"},
    "OpenLLMetry embedding": {"llm.request.type": "embedding", "gen_ai.request.model": "a"},
    "OpenLLMetry rerank": {"llm.request.type": "rerank", "gen_ai.request.model": "a"},
    "a model without an operation": {"gen_ai.request.model": "a", "gen_ai.response.model": "b"},
    "no model call": {"http.route": "/api"},
    "a model's name that is no text": {"gen_ai.operation.name": "chat", "gen_ai.request.model": 5},
    "a model's name that cannot be read": {"gen_ai.operation.name": "chat", "gen_ai.response.model": "\u200b \u00a0"},
    "an old name of the provider": {"gen_ai.operation.name": "chat", "gen_ai.system": "OpenAI"},
    "OpenInference's provider": {"openinference.span.kind": "LLM", "llm.provider": "", "llm.system": "mistralai"},
}


def test_model_calls_and_their_models_are_those_of_model_span(count):
    sent = [{**shape, "llm_routing.surface": name} for name, shape in SHAPES.items()]
    expected = {}
    for name, shape in SHAPES.items():
        if operation := operation_of(shape):
            asked, got = models_of(shape)
            expected[name] = (operation, asked, got)
    found = {}
    for labels, calls in count(*sent).items():
        said = dict(labels)
        assert calls == 1
        names = ("gen_ai_operation_name", "gen_ai_request_model", "gen_ai_response_model")
        found[said["llm_routing_surface"]] = tuple(said.get(name) for name in names)
    assert found == expected


def test_the_provider_is_named_by_whichever_attribute_there_is(count):
    shapes = [SHAPES["an old name of the provider"], SHAPES["OpenInference's provider"]]
    counts = count(*shapes)
    assert sorted(dict(labels)["gen_ai_provider_name"] for labels in counts) == ["mistral_ai", "openai"]


@pytest.mark.parametrize(
    ("more", "scope"),
    [
        ({}, "otel_llm_routing"),
        ({"llm_routing.match": "resolved"}, "opentelemetry.instrumentation.openai.v1"),
        ({"llm_routing.surface": "drafts", "llm_routing.surface.source": "route"}, "openinference.instrumentation"),
    ],
    ids=["our span", "adopted by us", "seen by our span processor"],
)
def test_calls_that_our_instrumentation_counts_itself_are_not_counted_again(count, more, scope):
    assert count({**CALL, **more}, scope=scope) == {}


def test_the_same_calls_are_counted_where_their_own_counts_are_not_sent(tmp_path):
    config = written(tmp_path / "config", own_spans=True) / "derive-from-spans.yaml"
    ours = {
        **CALL,
        "llm_routing.surface": "drafts",
        "llm_routing.surface.source": "context",
        "llm_routing.request.kind": "router",
        "llm_routing.match": "unconfirmed",
        "llm_routing.served.source": "header",
        "llm_routing.cached": True,
    }
    with Collector(tmp_path, config) as collector:
        collector.send("traces", spans(ours, scope="otel_llm_routing"))
        ((labels, calls),) = components.wait_for("counts", collector.scrape)
    assert calls == 1
    said = {name: labels[f"llm_routing_{name}"] for name in ("request_kind", "match", "served_source", "cached")}
    assert said == {"request_kind": "router", "match": "unconfirmed", "served_source": "header", "cached": "true"}


@pytest.mark.parametrize(
    ("state", "calls"),
    [
        ("", 1),
        ("ot=th:0", 1),
        ("ot=th:8", 2),
        ("ot=rv:0123456789abcd;th:c", 4),
        ("vendor=x,ot=th:c;rv:0123456789abcd,other=y", 4),
        ("ot=th:aaaaaaaaaaaaab", 3),
        ("ot=th:zz", 1),
        ("not a trace state at all,,,===", 1),
        ("ot=th:ffffffffffffff", 1),
        ("vendor=th:c", 1),
    ],
)
def test_a_sampled_span_stands_for_as_many_calls_as_its_trace_state_says(count, state, calls):
    (counted,) = count({**CALL, "": {"traceState": state}}, CALL).values()
    assert counted == pytest.approx(calls + 1)


def test_the_trace_state_of_one_span_says_nothing_about_the_others(count):
    broken = {**CALL, "": {"traceState": "ot=th:" + "8" * 300}}
    ((_, calls),) = count(CALL, broken, CALL).items()
    assert calls == 3


@pytest.mark.parametrize(
    ("more", "resource", "surface"),
    [
        ({"llm_routing.surface": "from the span"}, {"llm_routing.surface": "from the resource"}, "from the span"),
        ({"http.route": "/api/complete"}, {"llm_routing.surface": "from the resource"}, "from the resource"),
        ({"http.route": "/api/complete/more"}, {}, "complete"),
        ({"http.route": "/api/Complete"}, {}, "/api/Complete"),
        ({"http.route": "/v1/xy"}, {}, "complete"),
        ({"http.route": "/v3/xy"}, {}, "/v3/xy"),
        ({"http.route": "/api/odd"}, {}, 'it\'s $HOME "now"'),
        ({"url.path": "/api/complete?q=1"}, {}, "complete"),
        ({"http.target": "/api/odd?q=1"}, {}, 'it\'s $HOME "now"'),
        ({"url.path": "/users/4711"}, {}, "unknown"),
        ({"http.route": "/other", "url.path": "/api/complete"}, {}, "/other"),
        ({"celery.task_name": "digest.send"}, {}, "digest"),
        ({"messaging.celery.task_name": "mail.send"}, {}, "mail.send"),
        ({"rpc.service": "shop.Search", "rpc.method": "Query"}, {}, "called"),
        ({"rpc.method": "Query"}, {}, "Query"),
        ({"": {"name": "GET /x", "parentSpanId": ""}}, {}, "named"),
        ({"": {"name": "GET /x"}}, {}, "unknown"),
        ({"llm_routing.surface": " x\u0007y" + "z" * 100}, {}, "xy" + "z" * 62),
        ({"llm_routing.surface": 7}, {}, "unknown"),
        ({"llm_routing.surface": "\u200b"}, {"llm_routing.surface": "from the resource"}, "from the resource"),
    ],
)
def test_the_surface_is_what_the_span_says_then_the_resource_then_a_rule_then_a_route(count, more, resource, surface):
    assert one(count({**CALL, **more}, resource=resource))["llm_routing_surface"] == surface


def test_a_call_that_failed_says_how_or_at_least_that(count):
    failed = {"": {"status": {"code": 2}}}
    named = {name: value for name, value in CALL.items() if name != "gen_ai.response.model"}
    counts = count({**named, **failed}, {**named, **failed, "error.type": "RateLimitError"}, named)
    assert sorted(dict(labels).get("error_type", "") for labels in counts) == ["", "RateLimitError", "_OTHER"]
    assert {dict(labels)["llm_routing_match"] for labels in counts} == {"unreported"}


def test_nobody_sends_or_scrapes_without_the_token(collector):
    import urllib.error
    import urllib.request

    for url, data in ((f"https://{collector.http}/v1/traces", b"{}"), (f"https://{collector.scraped}/metrics", None)):
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=5, context=collector.trust)
        assert refused.value.code == 401

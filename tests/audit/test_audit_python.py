"""Python source: what asks for a model, what only speaks of one, and what is no model at all."""

from __future__ import annotations

import json

import pytest

USES = {
    "an argument of a call": ('client.chat.completions.create(model="gpt-4o", messages=[])', "call", "alias"),
    "a client's class": ('ChatOpenAI("gpt-4o")', "call", "alias"),
    "a provider before a colon": ('Agent("openai:gpt-4o")', "call", "alias"),
    "an argument of a function nobody knows": ('summarise(text, model="gpt-4o-2024-08-06")', "call", "pinned"),
    "a name of Bedrock": (
        'bedrock.converse(modelId="us.anthropic.claude-haiku-4-5-20251001-v1:0")',
        "call",
        "pinned",
    ),
    "a router": ('litellm.completion("openrouter/auto", messages=[])', "call", "router"),
    "a deployment": ('AzureChatOpenAI(azure_deployment="prod-chat")', "call", "unknown"),
    "a deployment of which a neighbour tells": ('ask(model="prod-chat", temperature=0)', "call", "unknown"),
    "a parameter's default": ('def ask(prompt, model="gpt-4o"): ...', "default", "alias"),
    "a keyword-only default": ('def ask(*, model_name: str = "gpt-4o"): ...', "default", "alias"),
    "a lambda's default": ('ask = lambda model="gpt-4o": run(model)', "default", "alias"),
    "a pydantic field": ('class C(BaseModel):\n    model: str = "claude-sonnet-4-5"', "default", "alias"),
    "Field(default=)": ('class C(BaseModel):\n    m: str = Field(default="gemini-flash-latest")', "default", "alias"),
    "the default of a variable": ('os.environ.get("OPENAI_MODEL", "gpt-5")', "default", "alias"),
    "a deployment as default of a variable": (
        'os.getenv("AZURE_OPENAI_DEPLOYMENT", "chat-prod")',
        "default",
        "unknown",
    ),
    "what stands behind or": ('model = os.getenv("M") or "gpt-5-mini"', "default", "alias"),
    "argparse": ('parser.add_argument("-m", "--model", default="gpt-4o", help="such as gpt-4")', "default", "alias"),
    "a constant": ('MODEL = "gpt-4o"', "constant", "alias"),
    "a constant with a name of its own": ('FAST = "gpt-4o-mini"', "constant", "alias"),
    "a setting of the environment": ('os.environ["OPENAI_MODEL"] = "gpt-5"', "constant", "alias"),
    "what a function returns": ('def default_model():\n    return "gpt-4.1"', "constant", "alias"),
    "one of two": ('model = "gpt-4o" if fast else other', "constant", "alias"),
    "a mapping": ('settings = {"model": "gpt-4o", "temperature": 0}', "config", "alias"),
    "texts that are added up": ('model = "gpt-" + "4o"', "constant", "alias"),
    "texts side by side": ('model = ("gpt-"\n    "4o")', "constant", "alias"),
    "an f-string without holes": ('model = f"gpt-4o"', "constant", "alias"),
    "a list of fallbacks": ('completion(model=m, messages=x, fallbacks=["gpt-4o", other])', "call", "alias"),
    "a sub-agent's session": (
        'AgentDefinition(description="d", prompt="p", model="inherit")',
        "call",
        "inherit",
    ),
    "Claude Code's short name": ('ClaudeAgentOptions(model="sonnet")', "call", "alias"),
    "an open model": ('pipe(model="meta-llama/Llama-3.1-8B-Instruct")', "call", "unknown"),
    "a short name": ('def think(model="o3"): ...', "default", "alias"),
    "a field in Annotated": (
        'class C:\n    model: Annotated[str, Field(default="o3", description="gpt-5")]',
        "default",
        "alias",
    ),
    "a parameter's field in Annotated": (
        'def ask(model: Annotated[str, Query(default="o3")]): ...',
        "default",
        "alias",
    ),
    "a default by its name": ('config("MODEL", default="o3")', "default", "alias"),
    "a default of nothing else": ('os.getenv(key="MODEL", default="o3")', "default", "alias"),
    "environs": ('env.str("MODEL", default="gpt-5")', "default", "alias"),
    "a default of kwargs": ('model = kwargs.pop("model", "o3")', "default", "alias"),
    "a text that is stripped": ('os.environ["LLM_MODEL"] = "gpt-5".strip()', "constant", "alias"),
    "a member of an enumeration": (
        'class M(str, Enum):\n    A = "gpt-5"\nc.messages.create(model=M.A.value, max_tokens=1)',
        "constant",
        "alias",
    ),
    "an item of a mapping": (
        'MODELS = {"fast": "chat-prod"}\nc.messages.create(model=MODELS["fast"])',
        "config",
        "unknown",
    ),
    "one after the other": (
        'for name in ("chat-prod",):\n    c.messages.create(model=name)',
        "constant",
        "unknown",
    ),
    "a list on the left": ('[model, heat] = ["o3", 0]', "constant", "alias"),
    "a function that was imported": (
        'from litellm import completion as ask\nask("chat-prod", messages=m)',
        "call",
        "unknown",
    ),
    "a call that is compared": ('ok = ask("x", model="chat-prod", messages=[]) == "yes"', "call", "unknown"),
    "an option of a command": ('run(["claude", "--model", "opus"])', "call", "alias"),
    "an option with its value": ('run(["claude", "--model=opus"])', "call", "alias"),
    "a mapping of one model": ('x = {"model": {"provider": "openai", "name": "chat-prod"}}', "config", "unknown"),
    "a task called title": ('MODELS = {"title": "gpt-5-nano"}', "config", "alias"),
    "Ollama": ('ollama.generate("qwen", "x")', "call", "alias"),
    "Replicate": ('replicate.run("meta/meta-llama-3-70b-instruct", input={})', "call", "alias"),
    "the client of Hugging Face": ('InferenceClient("meta-llama/Llama-3.1-8B")', "call", "unknown"),
    "promptfoo": ('x = ["azure:chat:my-deployment"]', "constant", "unknown"),
    "the latest of a family": ('x = "kimi-latest"', "constant", "alias"),
    "the latest of nobody knows what": ('ask(model="house-latest")', "call", "alias"),
    "promptfoo's providers": ('x = {"providers": [{"id": "openai:gpt-5"}]}', "config", "alias"),
    "a deployment by the name of a setting": ('AZURE_OPENAI_DEPLOYMENT = "o3"', "constant", "unknown"),
    "a deployment in a mapping of settings": ('env = {"OPENAI_MODEL": "chat-prod"}', "config", "unknown"),
    "a variable of a container": ('env = [{"name": "OPENAI_MODEL", "value": "chat-prod"}]', "config", "unknown"),
    "a model of LiteLLM's": ('x = {"litellm_params": {"model": "chat-prod"}}', "config", "unknown"),
    "a sentence transformer": ('SentenceTransformer("paraphrase-MiniLM-L6-v2")', "call", "unknown"),
    "an attribute that may be missing": ('ask(model=getattr(args, "model", "o3"))', "default", "alias"),
    "a variable's default under another name": (
        'MODEL = os.getenv("X", "chat-prod")\nc.messages.create(model=MODEL)',
        "default",
        "unknown",
    ),
}


@pytest.mark.parametrize("name", USES)
def test_what_asks_for_a_model_is_found_with_its_role_and_kind(tree, name):
    code, role, kind = USES[name]
    found = [f for f in tree.of("a.py", code).document["findings"] if f["role"] not in ("catalogue", "comparison")]
    assert [(f["role"], f["kind"]) for f in found] == [(role, kind)], found


NOTHING = {
    "a docstring": '"""gpt-4o"""\ndef f():\n    """gpt-4o"""\nclass C:\n    "gpt-4o"',
    "a comment": "# gpt-4o\nx = 1  # model='gpt-4o'",
    "a sentence": 'help = "set it to gpt-4o"',
    "an engine of something else": 'read_csv(f, engine="python")',
    "another kind of model": 'Car(model="civic"); fit(model="linear"); ForeignKey(model="auth.User")',
    "a codec": 'codec = "opus"',
    "a device": 'load(device_map="auto", compression="auto")',
    "an address": 'connect("example.com:8080"); get("https://api.openai.com/v1/models/gpt-4o")',
    "a package": 'install("typescript@latest"); npm("left-pad@1234")',
    "an image": 'image = "postgres:latest"; run(image="foo/bar:latest"); branch = "release-latest"',
    "a path": 'load(model_path="models/gpt-4o.bin"); open("./claude-3-opus")',
    "a placeholder": 'ask(model="your-model-here", messages=[])',
    "a command": 'run(name="command", mode="default")',
    "a template": 'ask(model="{{ model }}", messages=[]); ask(model="${MODEL}", messages=[])',
    "an attribute of which only the name is known": 'ask(model=getattr(settings, "MODEL"), messages=[])',
    "a path to an attribute": 'PATHS = {"model": "llm.model", "temperature": "llm.temperature"}',
    "a permission": 'x = {"routes.create_custom_llm": "custom_model.create", "delete_llm": "custom_model.delete"}',
    "a flag": 'os.getenv("CHAT_MODELS_ENABLED", "false"); f(use_model="true", temperature=1)',
    "a name that the program makes": "ask(model=f'{name}', messages=[]); ask(model=name, messages=[])",
    "a name as people write it": 'search("GPT-4", k=2); title = "GPT-5"; label("Claude-3-Opus")',
    "the short name of a provider": 'PROVIDERS = ["gpt-oss", "titan", "command"]',
    "what only looks like one": 'x = "gpt-researcher"; y = "codex-cli"; z = "grok-parser"; d = "backup.sql-20240101"',
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_is_no_model_is_not_found(tree, name):
    assert tree.of("a.py", NOTHING[name]).document["findings"] == []


SPOKEN_OF = {
    "compared": ('if model == "gpt-4o": pass', "comparison"),
    "looked for": ('ok = "gpt-4o" in name', "comparison"),
    "asked of its beginning": ('name.startswith("gpt-4o")', "comparison"),
    "matched": ('match name:\n    case "gpt-4o": pass', "comparison"),
    "looked up": ('LIMITS["gpt-4o"]', "comparison"),
    "printed": ('print("gpt-4o"); logger.info("gpt-4o")', "comparison"),
    "a message": ('raise ValueError("gpt-4o")', "comparison"),
    "an example": ('Field(..., description="gpt-4o", examples=["gpt-4o"])', "comparison"),
    "a key with a number": ('LIMITS = {"gpt-4o": 128_000}', "comparison"),
    "any of some": ('any(n in model for n in ["gpt-4o", "gpt-4"])', "comparison"),
    "compared after it was parsed": ('assert parse("gpt-4o").name == 1; ok = f("gpt-4o")["x"] > 1', "comparison"),
    "a type": ('def f(m: Literal["gpt-4o", "gpt-4"]): ...', "catalogue"),
    "an enumeration": ('class M(str, Enum):\n    A = "gpt-4o"', "catalogue"),
    "a table": ('LIMITS = {"gpt-4o": 1, "gpt-4": 2, "gpt-3.5-turbo": 3}', "catalogue"),
    "a list of many": ('MODELS = ["gpt-4o", "gpt-4", "gpt-3.5-turbo"]', "catalogue"),
    "what may be chosen": ('ALLOWED_MODELS = ["gpt-4o"]', "catalogue"),
    "an example of a list": ('x = {"example_models": ["gpt-4o"]}', "catalogue"),
    "beginnings of names": ('for model_prefix in ("gpt-5", "gpt-4o"): ...', "catalogue"),
    "what failed": ('raise_model_error(model="gpt-4o")', "comparison"),
    "a menu": ('x = [{"name": "Mini", "value": "gpt-4o-mini"}]', "catalogue"),
    "a register": (
        "\n".join(f'register("m{n}", Config("gpt-4o-2024-05-1{n}", info={{"model": "gpt-4o"}}))' for n in range(8)),
        "catalogue",
    ),
    "a list of entries": ('x = [{"id": "gpt-4o", "name": "GPT-4o"}]', "catalogue"),
}


@pytest.mark.parametrize("name", SPOKEN_OF)
def test_what_only_speaks_of_a_model_is_counted_apart(tree, name):
    code, role = SPOKEN_OF[name]
    said = tree.of("a.py", code)
    assert {f["role"] for f in said.document["findings"]} == {role}
    assert {f["level"] for f in said.document["findings"]} == {"none"}
    document = tree.audit("--json", "a.py").document
    assert document["findings"] == []
    assert document["catalogued" if role == "catalogue" else "compared"] > 0


def test_agents_with_a_model_each_are_no_catalogue_however_many_there_are(tree):
    agents = ", ".join(f'{{"model": "gpt-4o-2024-0{n}-0{n}", "instructions": "x"}}' for n in range(1, 9))
    said = tree.of("a.py", f"AGENTS = [{agents}]")
    assert [f["role"] for f in said.document["findings"]] == ["config"] * 8


MAPPINGS = {
    "agents": {"agents": [{"model": "gpt-5", "instructions": "x"}, {"model": "chat-prod", "tools": []}]},
    "settings": {"env": {"OPENAI_MODEL": "chat-prod", "AZURE_OPENAI_DEPLOYMENT": "gpt-5", "PORT": "80"}},
    "variables": {"env": [{"name": "OPENAI_MODEL", "value": "chat-prod"}, {"name": "X", "value": "gpt-5"}]},
    "a menu": {"options": [{"name": "Small", "value": "gpt-5-mini"}, {"name": "Large", "value": "gpt-5"}]},
    "LiteLLM": {"model_list": [{"model_name": "prod", "litellm_params": {"model": "azure/chat", "api_key": "x"}}]},
    "fallbacks": {"fallbacks": [{"gpt-5": ["gpt-4o", "gpt-4.1"]}], "default_fallbacks": ["o3"]},
    "a model by its name": {"model": {"name": "chat-prod", "provider": "openai", "mode": "chat"}},
    "tasks": {"models": {"chat": "gpt-5", "title": "o3", "provider": "openai"}},
    "a table": {"prices": [{"model": f"gpt-4o-2024-0{n}-0{n}", "price": n} for n in range(1, 9)]},
    "a table by name": {"models": {name: {"context": 1, "successor": "gpt-5"} for name in ("gpt-4o", "gpt-4", "o3")}},
    "what is told people": {"model": "gpt-5", "description": "gpt-4o", "examples": [{"model": "gpt-4"}]},
    "what is offered": {"allowed_models": ["gpt-5"], "supported": {"model": "gpt-5"}, "providers": [{"id": "gpt-5"}]},
    "a provider's address": {"base_url": "https://openrouter.ai/api/v1", "model": "anthropic/claude-sonnet-4.6"},
    "nobody's address": {"provider_": 1, "api_base": "https://example.com", "model": "gpt-5", "endpoint": "/v1"},
    "an option": {"args": ["--model", "chat-prod", "--openai-model=chat-prod"]},
    "one among others": {"stages": {"write": {"id": "gpt-5", "retries": "3"}}},
}


@pytest.mark.parametrize("name", MAPPINGS)
def test_a_mapping_says_the_same_in_python_and_in_data(tree, name):
    def told(said):
        return [(f["identifier"], f["role"], f["key"], f["kind"], f["provider"]) for f in said.document["findings"]]

    text = json.dumps(MAPPINGS[name])
    data = told(tree.of("a.json", text))
    assert data != []
    assert told(tree.of("a.py", f"show({text})")) == data


def test_settings_with_a_key_each_are_no_catalogue_however_many_there_are(tree):
    names = ("gpt-5", "gpt-5-mini", "gpt-4o", "gpt-4.1", "o4-mini", "gpt-4o-mini")
    settings = ", ".join(f'"{key}_MODEL": "{name}"' for key, name in zip("ABCDEF", names, strict=True))
    said = tree.of("a.py", f'DEFAULTS = {{{settings}, "EMBEDDING": "openai:text-embedding-3-small"}}')
    assert {f["role"] for f in said.document["findings"]} == {"config"}
    assert len(said.document["findings"]) == 7
    models = ", ".join(f'"{name}": {{"successor": "{name}-2024-05-13"}}' for name in names)
    said = tree.of("b.py", f"PRICES = {{{models}}}")
    assert not [f for f in said.document["findings"] if f["role"] == "config"]


def test_fallbacks_are_asked_for_however_many_there_are(tree):
    said = tree.of("a.py", 'Router(fallbacks=[{"gpt-5": ["gpt-5-mini", "gpt-4o", "gpt-4.1", "o4-mini", "gpt-4"]}])')
    asked = [f["identifier"] for f in said.document["findings"] if f["role"] == "config"]
    assert asked == ["gpt-5-mini", "gpt-4o", "gpt-4.1", "o4-mini", "gpt-4"]


def test_names_with_commas_between_them_are_each_found(tree):
    said = tree.of("a.py", 'MODELS = os.getenv("MODELS", "gpt-5,o3").split(",")\nmodel = "gpt-5, or so"')
    assert said.found() == ["1: gpt-5", "1: o3"]


def test_attributes_of_two_classes_are_two_names(tree):
    classes = "".join(
        f"class {name}:\n    model = '{name}-prod'\n    def f(self):\n        c.messages.create(model=self.model)\n"
        for name in "AB"
    )
    found = tree.of("a.py", classes).document["findings"]
    assert [(f["identifier"], f["used_at"]) for f in found] == [("A-prod", [4]), ("B-prod", [8])]


def test_a_name_that_calls_of_two_providers_ask_for_is_nobodys_in_particular(tree):
    said = tree.of("a.py", "MODEL = 'gpt-4o'\nAzureChatOpenAI(model=MODEL)\nChatOpenAI(model=MODEL)\n")
    assert (said.one("gpt-4o")["kind"], said.one("gpt-4o")["used_at"]) == ("alias", [2, 3])
    said = tree.of("a.py", "MODEL = 'gpt-4o'\nAzureChatOpenAI(model=MODEL)\n")
    assert said.one("gpt-4o")["provider"] == "azure.ai.openai"


def test_a_constant_tells_the_lines_in_which_a_call_asks_for_it(tree):
    said = tree.of(
        "a.py",
        "MODEL = 'my-deployment'\n"
        "class A:\n"
        "    name = 'other-deployment'\n"
        "    def ask(self, model='third-deployment'):\n"
        "        c.chat.completions.create(model=MODEL, messages=[])\n"
        "        c.chat.completions.create(model=self.name, messages=[])\n"
        "        c.chat.completions.create(model=model, messages=[])\n",
    )
    used = {f["identifier"]: (f["line"], f["used_at"]) for f in said.document["findings"]}
    assert used == {"my-deployment": (1, [5]), "other-deployment": (3, [6]), "third-deployment": (4, [7])}


def test_the_default_of_an_annotated_field_tells_them_too(tree):
    said = tree.of(
        "a.py",
        "class A:\n"
        "    model: Annotated[str, Field(default='my-deployment')]\n"
        "    def ask(self):\n"
        "        c.messages.create(model=self.model, max_tokens=1)\n",
    )
    assert [(f["line"], f["role"], f["used_at"]) for f in said.document["findings"]] == [(2, "default", [4])]


def test_a_name_of_another_function_is_another_name(tree):
    said = tree.of(
        "a.py", "def f():\n    m = 'my-deployment'\ndef g():\n    c.messages.create(model=m, max_tokens=1)\n"
    )
    assert said.document["findings"] == []


def test_a_name_put_together_at_run_time_is_reported_if_a_part_tells_what_it_is(tree):
    said = tree.of(
        "a.py",
        "c.messages.create(model=f'claude-{size}-4-5')\n"
        "litellm.completion('openai/' + name, messages=[])\n"
        "c.messages.create(model=f'{prefix}-{size}')\n"
        "litellm.completion(model='azure/{}'.format(name))\n"
        "litellm.completion(model='azure/%s' % name)\n"
        "litellm.completion(model='{}/{}'.format(a, b))\n",
    )
    found = ["1: claude-{}-4-5", "2: openai/{}", "4: azure/{}", "5: azure/{}"]
    assert said.found(kind="unknown", rule="put together at run time") == found
    assert len(said.document["findings"]) == len(found)


def test_columns_are_counted_in_characters(tree):
    found = tree.of("a.py", 'ü = "ä"; ask(model="gpt-4o")').one("gpt-4o")
    assert (found["line"], found["column"], found["end_column"]) == (1, 20, 28)


def test_the_provider_is_what_the_call_or_its_neighbours_say(tree):
    said = tree.of(
        "a.py",
        'AzureChatOpenAI(model="gpt-4o")\n'
        'ChatOpenAI(model="anthropic/claude-sonnet-4.6", base_url="https://openrouter.ai/api/v1")\n'
        'ask(model="llama3", provider="ollama")\n'
        'litellm.completion("azure/gpt-4o", messages=[])\n',
    )
    found = {f["line"]: (f["provider"], f["kind"]) for f in said.document["findings"]}
    assert found[1] == ("azure.ai.openai", "unknown")  # a deployment's name is free text
    assert found[2] == ("openrouter", "pinned")
    assert found[3] == ("ollama", "alias")
    assert found[4] == ("azure.ai.openai", "unknown")


def test_a_rule_of_ones_own_is_believed(tree, monkeypatch):
    from otel_llm_routing import models

    rules = tree.write(
        "rules.json",
        '{"rules": [{"id": "ours", "provider": null, "kind": "router", "pattern": "house-.+", "source": "us"}]}',
    )
    monkeypatch.setenv(models.RULES_VARIABLE, str(rules))
    models.forget()
    try:
        assert tree.of("a.py", 'f(model="house-blend"); g("house-blend")').found(kind="router", rule="ours") == [
            "1: house-blend"
        ]
    finally:
        monkeypatch.undo()
        models.forget()


def test_code_is_never_run(tree):
    tree.of("a.py", "import pathlib\npathlib.Path('ran').touch()\nMODEL = 'gpt-4o'\n")
    assert not (tree.path / "ran").exists()


UNREADABLE = {
    "Python 2": b'print "gpt-4o"\nmodel = "gpt-4o"\n',
    "half a file": b'model = "gpt-4o"\ndef f(:\n',
    "brackets without end": b'model = "gpt-4o"\n' + b"(" * 5000,
    "an encoding nobody knows": b"# coding: klingon\nmodel = 'gpt-4o'\n",
    "bytes that are no text": b"model = 'gpt-4o'\nx = '\xff\xfe'\n",
    "operators without end": b"model = 'gpt-4o'\nx = " + b"-" * 50_000 + b"1\n",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_parsed_is_said_and_the_others_are_read(tree, name):
    tree.write("bad.py", UNREADABLE[name])
    tree.write("good.py", 'MODEL = "gpt-4o"')
    said = tree.json()
    assert said.code == 0
    (unreadable,) = said.document["unreadable"]
    assert unreadable["file"] == "bad.py"
    assert [f["file"] for f in said.document["findings"] if f["file"] == "good.py"] == ["good.py"]


def test_a_file_in_another_encoding_is_read_as_it_declares(tree):
    said = tree.of("a.py", "# coding: latin-1\nx = 'é'; MODEL = 'gpt-4o'\n".encode("latin-1"))
    assert said.found() == ["2: gpt-4o"]
    assert said.document["unreadable"] == []


def test_a_sum_of_thousands_is_read(tree):
    assert "gpt-4o" in tree.of("a.py", "x = " + " + ".join(["y"] * 500) + "\nMODEL = 'gpt-4o'\n").out

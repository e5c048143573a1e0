"""Data files: YAML, JSON, TOML, settings, notebooks, front matter; with their lines, and whatever is in them."""

from __future__ import annotations

import json
import os

import pytest

from otel_llm_routing.analyze.audit.mention import USES

FOUND = {
    "yaml": ("a.yaml", "x: 1\nagent:\n  model: gpt-4o  # gpt-4\n", ["3: gpt-4o"]),
    "yaml, several documents": ("a.yml", "model: gpt-4o\n---\nmodel: gpt-5\n", ["1: gpt-4o", "3: gpt-5"]),
    "yaml with tags": ("a.yaml", "model: !Ref gpt-4o\nother: !!python/object:os.system {model: gpt-5}\n",
                       ["1: gpt-4o", "2: gpt-5"]),
    "a LiteLLM proxy": (
        "config.yaml",
        "model_list:\n  - model_name: prod\n    litellm_params:\n      model: azure/chat-prod\n      api_key: x\n",
        ["2: prod", "4: azure/chat-prod"],
    ),
    "a variable of Compose": ("compose.yaml", "environment:\n  - OPENAI_MODEL=gpt-4o\n  - A=b\n", ["2: gpt-4o"]),
    "a variable of Kubernetes": (
        "pod.yaml",
        "env:\n  - name: OPENAI_MODEL\n    value: gpt-4o\n  - name: X\n    value: y\n",
        ["3: gpt-4o"],
    ),
    "a default of Compose": (
        "compose.yaml",
        "environment:\n  - CHAT_MODEL=${CHAT_MODEL:-chat-prod}\nx: {A: '${LLM_MODEL:-o3}', B: '${PORT:-80}'}\n",
        ["2: chat-prod", "3: o3"],
    ),
    "a default of Spring": ("a.properties", "ai.model=${OPENAI_MODEL:o3}\nx=${Y:?no gpt-4o}\n", ["1: o3"]),
    "a default of a workflow": (
        "ci.yml",
        "env:\n  LLM_MODEL: ${{ vars.LLM_MODEL || 'o3' }}\n  X: ${{ vars.X }}\n",
        ["2: o3"],
    ),
    "options in a command": (
        "compose.yaml",
        "command: serve --model 'Qwen/Qwen2.5-7B' --port 80\nhelp: --model gpt-4\nx: --model $M --model=o3\n",
        ["1: Qwen/Qwen2.5-7B", "3: o3"],
    ),
    "options in a script": (
        "ci.yml",
        "steps:\n- run: |\n    set -e\n    aider --model gpt-5 --yes  # --x\n- run: >-\n    claude\n    --model opus\n",
        ["4: gpt-5", "6: opus"],
    ),
    "a text in a block": ("a.yaml", "model: >-\n  gpt-4o\n", ["2: gpt-4o"]),
    "a Makefile": (
        "Makefile",
        "# MODEL ?= gpt-4\nexport OPENAI_MODEL ?= chat-prod\nFAST_MODEL := gpt-4o\nall: gpt-4o.txt\n\techo $(MODEL)\n",
        ["2: chat-prod", "3: gpt-4o"],
    ),
    "a Dockerfile": (
        "docker/Dockerfile.prod",
        "ARG OPENAI_MODEL=gpt-5\nENV A=b \\\n    CHAT_MODEL=chat-prod\n# ENV X_MODEL=gpt-4\n",
        ["1: gpt-5", "3: chat-prod"],
    ),
    "Terraform": (
        "main.tf",
        'variable "openai_model" {\n  type    = string\n  default = "gpt-4o"\n}\n# model = "gpt-4"\n',
        ["3: gpt-4o"],
    ),
    "variables of Terraform": ("prod.tfvars", 'openai_model = "chat-prod"\n', ["1: chat-prod"]),
    "options of a command": ("pod.yaml", 'args: ["--model=o3", "--fallback-model", "opus", x]\n', ["1: o3", "1: opus"]),
    "fallbacks of LiteLLM": (
        "config.yaml",
        "fallbacks: [{gpt-5: [gpt-4o, gpt-4.1]}]\ncontext_window_fallbacks: [{gpt-5: [gpt-4, gpt-4o-mini]}]\n",
        ["1: gpt-4o", "1: gpt-4.1", "2: gpt-4", "2: gpt-4o-mini"],
    ),
    "Dify": (
        "app.yml",
        "model_config:\n  model:\n    mode: chat\n    name: house-chat\n    provider: langgenius/openai/openai\n",
        ["4: house-chat"],
    ),
    "promptfoo": (
        "promptfooconfig.yaml",
        "providers:\n- openai:gpt-5\n- openai:chat:gpt-4o\n- id: anthropic:messages:claude-opus-4\n- azure:chat:prod\n",
        ["2: openai:gpt-5", "3: openai:chat:gpt-4o", "4: anthropic:messages:claude-opus-4", "5: azure:chat:prod"],
    ),
    "tasks with a model each": ("a.yaml", "models: {chat: gpt-5, title: o3}\n", ["1: gpt-5", "1: o3"]),
    "json": ("a.json", '{\n "model": "gpt-4o"\n}', ["2: gpt-4o"]),
    "json with comments": ("a.jsonc", '{ // "gpt-4"\n /* "gpt-5" */ "model": "gpt-4o",\n}', ["2: gpt-4o"]),
    "json with escapes": ("a.json", '{"mod\\u0065l": "gpt\\u002d4o"}', ["1: gpt-4o"]),
    "toml": ("a.toml", '# model = "gpt-4"\n[llm]\nmodel = "gpt-4o" # "gpt-5"\n[[a]]\nmodel = \'gpt-5\'\n',
             ["3: gpt-4o", "5: gpt-5"]),
    "toml twice": ("a.toml", '[a]\nmodel = "gpt-4o"\n[b]\nmodel = "gpt-4o"\n', ["2: gpt-4o", "4: gpt-4o"]),
    "toml beside a key of the name": (
        "a.toml", '[prices]\n"gpt-4o" = 1\n[x."gpt-5"]\nmodel = "gpt-4o"\n[y]\nmodel = "gpt-5"\n',
        ["4: gpt-4o", "6: gpt-5"],
    ),
    "env": (".env", '# MODEL=gpt-4\nexport OPENAI_MODEL="gpt-4o" # x\nAZURE_OPENAI_DEPLOYMENT=chat-prod\nPORT=80\n',
            ["2: gpt-4o", "3: chat-prod"]),
    "env with a list": (".env", "FALLBACK_MODELS=gpt-5,o3\n", ["1: gpt-5", "1: o3"]),
    "env with a list in quotes": (".env", "X_MODELS='gpt-4o, gpt-4'\n", ["1: gpt-4o", "1: gpt-4"]),
    "env of direnv": (".envrc", "export CHAT_MODEL=gpt-4o\n", ["1: gpt-4o"]),
    "env of a stage": (".env.production", "CHAT_MODEL=gpt-4o\n", ["1: gpt-4o"]),
    "ini": ("a.ini", "[llm]\nmodel = gpt-4o\n; model = gpt-4\n", ["2: gpt-4o"]),
    "a definition of an agent": (
        "agents/reviewer.md",
        "---\nname: reviewer\ndescription: d\nmodel: sonnet\n---\nUse model: gpt-4o\n",
        ["4: sonnet"],
    ),
    "an agent that inherits": ("a.md", "---\nname: a\ndescription: d\nmodel: inherit\n---\n", ["4: inherit"]),
    "windows lines": ("a.yaml", "x: 1\r\nmodel: gpt-4o\r\n", ["2: gpt-4o"]),
    "a byte order mark": ("a.json", b'\xef\xbb\xbf{"model": "gpt-4o"}', ["1: gpt-4o"]),
    "utf-16": ("a.json", '{"model": "gpt-4o"}'.encode("utf-16"), ["1: gpt-4o"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_names_are_found_with_their_line(tree, name):
    file, text, expected = FOUND[name]
    said = tree.of(file, text)
    assert [f"{f['line']}: {f['identifier']}" for f in said.document["findings"] if f["role"] in USES] == expected
    assert said.document["unreadable"] == []


NOTHING = {
    "a car": ("a.yaml", "car: {model: civic}\n"),
    "a database": ("a.yaml", "engine: django.db.backends.postgresql\n"),
    "an image": ("a.yaml", "chat: {image: foo/bar:latest, tag: app-latest}\n"),
    "a package": ("package.json", '{"dependencies": {"openai": "^4.0.0", "gpt-tokenizer": "2.1.1"}}'),
    "a text": ("en.json", '{"help": "the model gpt-4o", "title": "model"}'),
    "a page about cars": ("car.md", "---\ntitle: Civic\nmodel: civic\n---\n"),
    "Markdown without a head": ("a.md", "model: gpt-4o\n---\nmodel: gpt-4o\n---\n"),
    "a provider of a model": ("a.json", '{"tabAutocompleteModel": {"provider": "mistral", "title": "GPT-5"}}'),
    "a policy": ("p.yaml", "version: 1\nsurfaces: {a: {uses: {alias: gpt-4o}}}\n"),
    "what this program wrote": ("b.json", '{"schema": "otel-llm-routing/audit/v1", "model": "gpt-4o"}'),
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_asks_for_no_model_is_not_found(tree, name):
    assert tree.of(*NOTHING[name]).document["findings"] == []


def test_a_price_list_is_a_catalogue_and_agents_are_not(tree):
    prices = [{"model": f"gpt-4o-2024-0{n}-0{n}", "price": n} for n in range(1, 9)]
    assert {f["role"] for f in tree.of("p.json", json.dumps(prices)).document["findings"]} == {"catalogue"}
    agents = [{"model": f"gpt-4o-2024-0{n}-0{n}", "instructions": "x"} for n in range(1, 9)]
    assert {f["role"] for f in tree.of("a.json", json.dumps(agents)).document["findings"]} == {"config"}


def test_a_notebook_is_read_cell_by_cell_with_the_lines_of_its_file(tree):
    cells = [
        {"cell_type": "markdown", "source": ["model='gpt-4'"]},
        {
            "cell_type": "code",
            "source": ["!pip install x\n", "%time f()\n", "MODEL = 'gpt-4o'\n"],
            "outputs": ["gpt-5"],
        },
        {"cell_type": "code", "source": ["def broken(:"]},
        {"cell_type": "code", "source": "ask(model='gpt-5')"},
    ]
    text = json.dumps({"cells": cells}, indent=1)
    said = tree.of("a.ipynb", text)
    at = {line.strip(): number for number, line in enumerate(text.splitlines(), 1)}
    model, ask = at["\"MODEL = 'gpt-4o'\\n\""], at['"source": "ask(model=\'gpt-5\')"']
    assert said.found() == [f"{model}: gpt-4o", f"{ask}: gpt-5"]
    (broken,) = said.document["unreadable"]
    assert broken["line"] == at['"def broken(:"']


def test_a_notebook_is_read_without_what_ipython_takes_for_itself(tree):
    cells = [
        {"cell_type": "code", "source": ["%%bash\n", "aider --model gpt-5"]},
        {"cell_type": "code", "source": ["%%time\n", "f(model='gpt-4o')\n", "df?\n", "x = !ls\n"]},
        {"cell_type": "code", "source": ["!pip install a \\\n", "  b\n", "f(model='gpt-4.1')"]},
        {"cell_type": "code", "source": ["\n", "\n", "%matplotlib inline\n", "f(model='gpt-4')"]},
    ]
    text = json.dumps({"cells": cells}, indent=1)
    said = tree.of("a.ipynb", text)
    at = {line.strip().rstrip(","): number for number, line in enumerate(text.splitlines(), 1)}
    lines = [at[f"\"f(model='{name}')\\n\""] for name in ("gpt-4o",)]
    lines += [at[f"\"f(model='{name}')\""] for name in ("gpt-4.1", "gpt-4")]
    assert [f["line"] for f in said.document["findings"]] == lines
    assert said.document["unreadable"] == []


def test_what_one_section_says_is_not_said_of_another(tree):
    said = tree.of("a.ini", "[a]\nmodel = llama3\n[b]\nprovider = ollama\nmodel = llama3\n")
    assert [f["provider"] for f in said.document["findings"]] == [None, "ollama"]


def test_a_provider_is_known_before_a_colon_and_at_the_end_of_a_path(tree):
    said = tree.of("a.yaml", "a: {provider: langgenius/openai/openai, model: gpt-5}\nb: {provider: 'openai:gpt-4.1'}\n")
    assert [f["provider"] for f in said.document["findings"]] == ["openai", "openai"]


BROKEN = {
    "yaml": ("a.yaml", "x: [\nmodel: gpt-4o\n"),
    "a Helm template": ("a.yaml", "{{- if .Values.x }}\nmodel: gpt-4o\n{{- end }}\n"),
    "json": ("a.json", '{"x": \n"model": "gpt-4o"'),
    "toml": ("a.toml", 'x = \nmodel = "gpt-4o"\n'),
    "a bomb of brackets": ("a.yaml", "x: " + "[" * 100_000 + "\nmodel: gpt-4o\n"),
    "json without end": ("a.json", "[" * 100_000 + '\n"model": "gpt-4o"'),
    "toml without end": ("a.toml", "x = " + "[" * 20_000 + '\nmodel = "gpt-4o"\n'),
    "lists in lists": ("a.yaml", "- " * 20_000 + "x\nmodel: gpt-4o\n"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_of_its_format_is_said_and_read_line_by_line(tree, name):
    file, text = BROKEN[name]
    said = tree.of(file, text)
    assert said.found() == ["2: gpt-4o"]
    (unreadable,) = said.document["unreadable"]
    assert "read line by line instead" in unreadable["text"]


def test_a_comment_that_never_ends_takes_no_time(tree):
    assert tree.of("a.json", '{"model": "gpt-4o"} ' + "/*" * 200_000).found() == ["1: gpt-4o"]


def test_aliases_that_multiply_are_read_once(tree):
    lines = ["a0: &a0 {model: gpt-4o}"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert tree.of("a.yaml", "\n".join(lines)).found() == ["1: gpt-4o"]


def test_latin_1_is_read_and_said(tree):
    said = tree.of("a.yaml", "x: é\nmodel: gpt-4o\n".encode("latin-1"))
    assert said.found() == ["2: gpt-4o"]
    assert [(u["line"], u["text"]) for u in said.document["unreadable"]] == [(1, "not UTF-8; read as Latin-1 instead")]


# Which files are read -------------------------------------------------------------------------------------------------


def test_folders_of_tools_and_ignored_files_are_left_out(tree):
    for name in (".venv/a.py", "node_modules/a.json", "env/a.py", "out/a.py", "src/gen.py", "src/kept.py", ".git/a.py"):
        tree.write(name, 'model = "gpt-4o"' if name.endswith(".py") else '{"model": "gpt-4o"}')
    tree.write("env/pyvenv.cfg", "")
    tree.write(".gitignore", "/out/\n")
    tree.write("src/.gitignore", "gen.py\n!kept.py\n")
    assert {f["file"] for f in tree.json().document["findings"]} == {"src/kept.py"}
    everything = {f["file"] for f in tree.json("--no-gitignore").document["findings"]}
    assert everything == {"out/a.py", "src/gen.py", "src/kept.py"}


def test_an_ignored_file_that_is_named_is_read_and_an_excluded_one_is_not(tree):
    tree.write(".gitignore", "a.py\n")
    tree.write("a.py", 'model = "gpt-4o"')
    assert tree.json("a.py").found() == ["1: gpt-4o"]
    assert tree.json("a.py", "--exclude", "*.py").found() == []


def test_the_gitignore_above_a_folder_holds_for_it(tree):
    (tree.path / ".git").mkdir()
    tree.write(".gitignore", "gen/\n")
    tree.write("src/gen/a.py", 'model = "gpt-4o"')
    tree.write("src/a.py", 'model = "gpt-4o"')
    assert {f["file"] for f in tree.json("src").document["findings"]} == {"src/a.py"}


def test_links_are_not_followed_and_pipes_not_opened(tree):
    tree.write("a/a.py", 'model = "gpt-4o"')
    (tree.path / "a" / "loop").symlink_to(tree.path / "a")
    (tree.path / "a" / "link.py").symlink_to(tree.path / "a" / "a.py")
    os.mkfifo(tree.path / "a" / "pipe.py")
    assert {f["file"] for f in tree.json().document["findings"]} == {"a/a.py"}


def test_a_large_or_binary_file_is_left_out_and_that_is_said(tree):
    tree.write("large.json", b'{"model": "gpt-4o", "x": "' + b"x" * (5 * 2**20) + b'"}')
    tree.write("binary.json", b'\0\1{"model": "gpt-4o"}')
    said = tree.json()
    assert said.document["findings"] == []
    assert {u["file"]: u["text"] for u in said.document["unreadable"]} == {
        "binary.json": "binary, so it was left out",
        "large.json": "larger than 4 MiB, so it was left out",
    }


def test_a_name_of_a_file_that_is_no_text_breaks_nothing(tree):
    name = os.fsdecode(b"caf\xe9\n::error::\x1b[31m.py")
    (tree.path / name).write_text('model = "gpt-4o"')
    for arguments in (
        [],
        ["--json"],
        ["--format", "github"],
        ["--format", "sarif"],
        ["--update-baseline", "--baseline", "b"],
    ):
        said = tree.audit(*arguments)
        assert said.code == 0
        assert "\x1b" not in said.out
        assert "\n::error::" not in said.out


def test_a_path_twice_is_read_once(tree):
    tree.write("a.py", 'model = "gpt-4o"')
    assert tree.json("a.py", ".", "a.py").found() == ["1: gpt-4o"]

"""Constants that are asked for in other modules: one finding where the name stands, and where it is used."""

from __future__ import annotations

import json

import pytest

ASK = "c.messages.create(model={}, max_tokens=1)\n"


def used(said):
    """Return of each finding that is asked for where it stands and by which lines."""
    return {
        f"{f['file']}:{f['line']} {f['identifier']}": [
            *(f"{f['file']}:{line}" for line in f["used_at"]),
            *(f"{use['file']}:{use['line']}" for use in f["used_in"]),
        ]
        for f in said.document["findings"]
        if f["role"] not in ("catalogue", "comparison")
    }


CONFIG = "NAME = 'chat-prod'\n"
FOLLOWED = {
    "a name from a module": {
        "app/config.py": CONFIG,
        "app/ask.py": "from app.config import NAME\n" + ASK.format("NAME"),
    },
    "a name by another name": {
        "app/config.py": CONFIG,
        "app/ask.py": "from app.config import NAME as MODEL\n" + ASK.format("MODEL"),
    },
    "a module": {"app/config.py": CONFIG, "app/ask.py": "import app.config\n" + ASK.format("app.config.NAME")},
    "a module by another name": {
        "app/config.py": CONFIG,
        "app/ask.py": "import app.config as cfg\n" + ASK.format("cfg.NAME"),
    },
    "a module of a package": {
        "app/config.py": CONFIG,
        "app/ask.py": "from app import config\n" + ASK.format("config.NAME"),
    },
    "a module beside it": {"app/config.py": CONFIG, "app/ask.py": "import config\n" + ASK.format("config.NAME")},
    "a module beside it in a package": {
        "app/config.py": CONFIG,
        "app/__init__.py": "",
        "app/ask.py": "import config\n" + ASK.format("config.NAME"),
    },
    "a package in a folder that looks like one": {
        "app/config.py": CONFIG,
        "app/__init__.py": "",
        "__init__.py": "",
        "app/ask.py": "from app.config import NAME\n" + ASK.format("NAME"),
    },
    "a relative import": {"app/config.py": CONFIG, "app/ask.py": "from .config import NAME\n" + ASK.format("NAME")},
    "a relative module": {"app/config.py": CONFIG, "app/ask.py": "from . import config\n" + ASK.format("config.NAME")},
    "a relative import from above": {
        "app/config.py": CONFIG,
        "app/ask.py": "",
        "app/a/b.py": "from ..config import NAME\n" + ASK.format("NAME"),
    },
    "all names of a module": {"app/config.py": CONFIG, "app/ask.py": "from .config import *\n" + ASK.format("NAME")},
    "a name that a package hands on": {
        "app/config.py": CONFIG,
        "app/__init__.py": "from .config import NAME\n",
        "app/ask.py": "from app import NAME\n" + ASK.format("NAME"),
    },
    "all names that a package hands on": {
        "app/config.py": CONFIG,
        "app/__init__.py": "from .config import *\n",
        "app/ask.py": "import app\n" + ASK.format("app.NAME"),
    },
    "an import within a function": {
        "app/config.py": CONFIG,
        "app/ask.py": "def f(): from app.config import NAME; " + ASK.format("NAME"),
    },
    "a name that is given on": {
        "app/config.py": CONFIG,
        "app/ask.py": "from app.config import NAME\nMODEL = NAME\n" + ASK.format("MODEL"),
    },
    "a parameter's default": {
        "app/config.py": CONFIG,
        "app/ask.py": "from app.config import NAME\n"
        "class A:\n"
        "    def __init__(self, model=NAME):\n"
        "        self.model = model\n"
        "    def ask(self):\n"
        "        " + ASK.format("self.model"),
    },
    "a variable's default": {
        "app/config.py": CONFIG,
        "app/ask.py": "import os\nfrom app import config\n" + ASK.format("os.environ.get('M', config.NAME)"),
    },
    "a class": {
        "app/config.py": "class Config:\n    NAME = 'chat-prod'\n",
        "app/ask.py": "from app.config import Config\n" + ASK.format("Config.NAME"),
    },
    "a class within a class": {
        "app/config.py": "class Config:\n    class Chat:\n        NAME = 'chat-prod'\n",
        "app/ask.py": "from app.config import Config\n" + ASK.format("Config.Chat.NAME"),
    },
    "an inherited attribute": {
        "app/base.py": "class Base:\n    NAME = 'chat-prod'\n",
        "app/config.py": "from .base import Base\nclass Config(Base):\n    pass\n",
        "app/ask.py": "from app.config import Config\n" + ASK.format("Config.NAME"),
    },
    "settings of pydantic": {
        "app/config.py": "class Settings(BaseSettings):\n    name: str = 'chat-prod'\nsettings = Settings()\n",
        "app/ask.py": "from app.config import settings\n" + ASK.format("settings.name"),
    },
    "settings of pydantic in settings": {
        "app/config.py": "class Chat(BaseModel):\n    name: str = Field('chat-prod', description='x')\n"
        "class Settings(BaseSettings):\n    chat: Chat = Chat()\n    other: Chat = Field(default_factory=Chat)\n"
        "settings = Settings()\n",
        "app/ask.py": "from app.config import settings\n" + ASK.format("settings.chat.name"),
    },
    "settings that a function makes": {
        "app/config.py": "class Settings(BaseSettings):\n    name: str = 'chat-prod'\n"
        "@lru_cache\ndef get_settings():\n    return Settings()\n",
        "app/ask.py": "from app.config import get_settings\n" + ASK.format("get_settings().name"),
    },
    "settings that are handed in": {
        "app/config.py": "class Settings(BaseSettings):\n    name: str = 'chat-prod'\n",
        "app/ask.py": "from app.config import Settings\n"
        "def f(settings: Annotated[Settings, Depends(get)]):\n    " + ASK.format("settings.name"),
    },
    "settings that an object keeps": {
        "app/config.py": "class Settings(BaseSettings):\n    name: str = 'chat-prod'\n",
        "app/ask.py": "from app.config import Settings\n"
        "class A:\n"
        "    def __init__(self, settings: 'Settings | None' = None):\n"
        "        self.settings = settings or Settings()\n"
        "    def ask(self):\n"
        "        " + ASK.format("self.settings.name"),
    },
    "a dataclass": {
        "app/config.py": "@dataclass\nclass Config:\n    name: str = field(default='chat-prod')\n",
        "app/ask.py": "from app.config import Config\ncfg = Config(debug=True)\n" + ASK.format("cfg.name"),
    },
    "an enumeration": {
        "app/config.py": "class Models(str, Enum):\n    A = 'chat-prod'\n    B = 'other-prod'\n",
        "app/ask.py": "from app.config import Models\n" + ASK.format("Models.A"),
    },
    "the value of an enumeration": {
        "app/config.py": "class Models(Enum):\n    A = 'chat-prod'\n",
        "app/ask.py": "from app.config import Models\nm = Models.A\n" + ASK.format("m.value"),
    },
    "an item of a mapping": {
        "app/config.py": "MODELS = {'fast': 'chat-prod', 'slow': 'other-prod'}\n",
        "app/ask.py": "from app.config import MODELS\n" + ASK.format("MODELS['fast']"),
    },
    "an item of a mapping in a mapping": {
        "app/config.py": "MODELS = {'chat': {'fast': 'chat-prod'}, 'x': {'fast': 'other-prod'}}\n",
        "app/ask.py": "from app.config import MODELS\n" + ASK.format("MODELS['chat'].get('fast')"),
    },
    "what a function returns": {
        "app/config.py": "def name():\n    return 'chat-prod'\n",
        "app/ask.py": "from app.config import name\n" + ASK.format("name()"),
    },
    "a property": {
        "app/config.py": "class Config:\n    @property\n    def name(self):\n        return 'chat-prod'\n",
        "app/ask.py": "from app.config import Config\nconfig = Config()\n" + ASK.format("config.name"),
    },
    "what getattr takes": {
        "app/config.py": CONFIG,
        "app/ask.py": "from app import config\n" + ASK.format("getattr(config, 'NAME')"),
    },
    "a name that a class takes over": {
        "app/config.py": CONFIG,
        "app/ask.py": "from app.config import NAME\n"
        "class A(BaseModel):\n    model: str = NAME\n    def f(self):\n        " + ASK.format("self.model"),
    },
    "a global that a function sets": {
        "app/config.py": "NAME = None\ndef load():\n    global NAME\n    NAME = 'chat-prod'\n",
        "app/ask.py": "from app import config\n" + ASK.format("config.NAME"),
    },
    "a package beside a module of its name": {
        "app/config/__init__.py": CONFIG,
        "app/config.py": "NAME = 'other-prod'\n",
        "app/ask.py": "from app.config import NAME\n" + ASK.format("NAME"),
    },
    "a layout with src": {
        "src/app/config.py": CONFIG,
        "src/app/__init__.py": "",
        "tests/test_ask.py": "from app.config import NAME\n" + ASK.format("NAME"),
    },
    "a package without a file of its own": {
        "one/ns/config.py": CONFIG,
        "two/ns/ask.py": "import ns.config\n" + ASK.format("ns.config.NAME"),
    },
    "modules that import each other": {
        "app/config.py": "from .ask import *\nfrom .ask import OTHER\n" + CONFIG,
        "app/ask.py": "from .config import *\nOTHER = 1\n" + ASK.format("NAME"),
    },
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_constant_is_found_where_it_stands_with_the_places_that_ask_for_it(tree, name):
    for file, text in FOLLOWED[name].items():
        tree.write(file, text)
    asking = list(FOLLOWED[name])[-1]
    line = next(at for at, text in enumerate(FOLLOWED[name][asking].splitlines(), 1) if "create(" in text)
    found = used(tree.json())
    assert list(found.values()) == [[f"{asking}:{line}"]]
    assert next(iter(found)).endswith(" chat-prod")


NOT_FOLLOWED = {
    "a module that is not read": {"app/ask.py": "from app.config import NAME\n" + ASK.format("NAME")},
    "a name that the module does not have": {
        "app/config.py": "OTHER = 'chat-prod'\n",
        "app/ask.py": "from app.config import NAME\n" + ASK.format("NAME"),
    },
    "a name that comes from elsewhere": {
        "app/config.py": CONFIG,
        "app/ask.py": "from app.config import NAME\ndef f(NAME):\n    " + ASK.format("NAME"),
    },
    "another module of this name": {
        "a/config.py": CONFIG,
        "b/config.py": CONFIG,
        "c/ask.py": "from config import NAME\n" + ASK.format("NAME"),
    },
    "a name that a star leaves out": {
        "app/config.py": "_NAME = 'chat-prod'\n",
        "app/ask.py": "from .config import *\n" + ASK.format("_NAME"),
    },
    "modules that hand a name around": {
        "app/config.py": "from .ask import NAME\n",
        "app/ask.py": "from .config import NAME\n" + ASK.format("NAME"),
    },
    "classes that inherit from each other": {
        "app/config.py": "from .ask import A\nclass B(A): pass\n",
        "app/ask.py": "from .config import B\nclass A(B): pass\n" + ASK.format("A.NAME"),
    },
    "packages that take all of each other": {
        "app/config.py": "from .ask import *\n",
        "app/ask.py": "from .config import *\n" + ASK.format("NAME"),
    },
    "something else that is called so": {
        "app/config.py": "NAME = 'civic'\n",
        "app/ask.py": "from app.config import NAME\nCar(model=NAME)\nprint(NAME)\nok = NAME == 'x'\n",
    },
}


@pytest.mark.parametrize("name", NOT_FOLLOWED)
def test_what_leads_nowhere_is_not_found(tree, name):
    for file, text in NOT_FOLLOWED[name].items():
        tree.write(file, text)
    assert used(tree.json()) == {}


def test_of_two_modules_with_one_name_the_nearest_is_meant(tree):
    for service in ("a", "b"):
        tree.write(f"services/{service}/config.py", f"NAME = 'chat-{service}'\n")
        tree.write(f"services/{service}/ask.py", "from config import NAME\n" + ASK.format("NAME"))
    assert used(tree.json()) == {
        "services/a/config.py:1 chat-a": ["services/a/ask.py:2"],
        "services/b/config.py:1 chat-b": ["services/b/ask.py:2"],
    }


def test_a_known_name_is_one_finding_however_many_use_it(tree):
    tree.write("app/config.py", "MODEL = 'gpt-4o'\n")
    tree.write("app/a.py", "from app.config import MODEL\n" + ASK.format("MODEL") + "summarise(model=MODEL)\n")
    tree.write("app/b.py", "from app import config\ndef f(model=config.MODEL): ...\n" + ASK.format("config.MODEL"))
    assert used(tree.json()) == {"app/config.py:1 gpt-4o": ["app/a.py:2", "app/a.py:3", "app/b.py:3"]}


def test_where_no_call_is_known_the_places_are_told_that_hand_it_on(tree):
    tree.write("app/config.py", "MODEL = 'gpt-4o'\n")
    tree.write("app/a.py", "from app.config import MODEL\nclass A(BaseModel):\n    model: str = MODEL\n")
    assert used(tree.json()) == {"app/config.py:1 gpt-4o": ["app/a.py:3"]}


def test_a_member_of_a_catalogue_that_another_module_asks_for_is_a_use(tree):
    members = "".join(f"    M{n} = 'gpt-4o-2024-0{n}-01'\n" for n in range(1, 9))
    tree.write("app/models.py", f"class Models(str, Enum):\n{members}")
    tree.write("app/a.py", "from app.models import Models\nask(model=Models.M3)\n")
    assert used(tree.json()) == {"app/models.py:4 gpt-4o-2024-03-01": ["app/a.py:2"]}


def test_the_provider_is_that_of_the_call_in_the_other_module(tree):
    tree.write("app/config.py", "NAME = 'gpt-4o'\n")
    tree.write("app/a.py", "from app.config import NAME\nAzureChatOpenAI(azure_deployment=NAME)\n")
    found = tree.json().one("gpt-4o")
    assert (found["provider"], found["kind"]) == ("azure.ai.openai", "unknown")  # a deployment's name is free text


def test_the_cells_of_a_notebook_are_one_program(tree):
    cells = [
        {"cell_type": "code", "source": ["from app.config import NAME\n", "MINE = 'my-prod'"]},
        {"cell_type": "code", "source": ["def broken(:"]},
        {"cell_type": "code", "source": [ASK.format("MINE"), ASK.format("NAME")]},
    ]
    text = json.dumps({"cells": cells}, indent=1)
    tree.write("app/config.py", CONFIG)
    tree.write("a.ipynb", text)
    lines = {
        part: at
        for at, line in enumerate(text.splitlines(), 1)
        for part in ("my-prod", "=MINE,", "=NAME,")
        if part in line
    }
    assert used(tree.json()) == {
        f"a.ipynb:{lines['my-prod']} my-prod": [f"a.ipynb:{lines['=MINE,']}"],
        "app/config.py:1 chat-prod": [f"a.ipynb:{lines['=NAME,']}"],
    }


def test_people_code_scanning_and_scripts_are_told_where_it_is_asked_for(tree):
    tree.write("app/config.py", "MODEL = 'gpt-4o'\n" + ASK.format("MODEL"))
    for name in "abcde":
        tree.write(f"app/{name}.py", "from app.config import MODEL\n" + ASK.format("MODEL"))
    assert "used in line 2, app/a.py:2, app/b.py:2 and 3 other places" in " ".join(tree.audit().out.split())
    (result,) = json.loads(tree.audit("--format", "sarif").out)["runs"][0]["results"]
    related = [place["physicalLocation"]["artifactLocation"]["uri"] for place in result["relatedLocations"]]
    assert related == ["app/config.py", *(f"app/{name}.py" for name in "abcde")]


def test_a_name_that_is_used_more_or_less_is_no_new_one_for_the_baseline(tree):
    tree.write("app/config.py", "MODEL = 'gpt-4o'\n")
    tree.audit("--baseline", "b.json", "--update-baseline")
    tree.write("app/a.py", "from app.config import MODEL\n" + ASK.format("MODEL"))
    assert tree.json("--baseline", "b.json").one("gpt-4o")["known"]


def test_an_audit_of_one_file_does_not_take_for_mended_what_others_ask_for(tree):
    tree.write("app/config.py", CONFIG)
    tree.write("app/a.py", "from app.config import NAME\n" + ASK.format("NAME"))
    tree.audit("--baseline", "b.json", "--update-baseline")
    assert tree.json("--baseline", "b.json", "app/config.py").document["fixed"] == []
    tree.write("app/a.py", "")
    assert [one["identifier"] for one in tree.json("--baseline", "b.json").document["fixed"]] == ["chat-prod"]


def test_a_program_that_nobody_can_follow_takes_no_time(tree):
    names = 400
    tree.write(
        "app/a.py", "".join(f"x{n} = x{n + 1} or x{n + 2} or y.x{n}.x{n}()\n" for n in range(names)) + "y = x0\n"
    )
    tree.write("app/b.py", "from .a import *\n" + "".join(ASK.format(f"x{n}") for n in range(names)))
    assert used(tree.json()) == {}

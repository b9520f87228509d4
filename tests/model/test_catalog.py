"""Which model a name stands for, and what nonsense is answered with."""

from pathlib import Path

import pytest

from perdure.errors import UnknownModel
from perdure.model.catalog import Catalog

OPENAI = "https://api.openai.com/v1"


def _catalog(tmp_path: Path, own: str = "", **environment: str) -> Catalog:
    file = tmp_path / "models.toml"
    file.write_text(own)
    return Catalog(environment, file)


@pytest.mark.parametrize(
    ("environment", "default"),
    [
        ({}, "local"),
        ({"OPENAI_API_KEY": "k"}, "gpt-5-mini"),
        ({"OPENAI_API_KEY": ""}, "local"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "gpt-5-mini"),
        ({"OPENAI_API_KEY": "k", "PERDURE_MODEL": "mine"}, "mine"),
    ],
)
def test_the_default_is_what_can_be_reached(
    tmp_path: Path, environment: dict[str, str], default: str
) -> None:
    """The local model needs no account; a key or an endpoint means that there is a better one."""
    assert _catalog(tmp_path, **environment).default == default


def test_any_name_is_a_model_of_the_endpoint(tmp_path: Path) -> None:
    """Nothing is known about it but where to ask; its price is unknown, which is no error."""
    catalog = _catalog(tmp_path, OPENAI_BASE_URL="http://127.0.0.1:1/v1")
    model = catalog.find("someones/fine-tune:7b")
    assert (model.model, model.base_url) == ("someones/fine-tune:7b", "http://127.0.0.1:1/v1")
    assert (model.mode, model.window) == ("native", 128_000)
    assert model.cost(input_tokens=1, cached_tokens=0, output_tokens=1) is None
    assert not model.has_price
    assert catalog.key_of(model) == "none"


def test_a_hosted_model_has_its_published_price_and_window(tmp_path: Path) -> None:
    """Cached input is cheaper, and more cached than read cannot be."""
    model = _catalog(tmp_path, OPENAI_API_KEY="k").find("gpt-4o-mini")
    assert model.base_url == OPENAI
    assert model.window == 128_000
    whole = model.cost(input_tokens=1_000_000, cached_tokens=0, output_tokens=0)
    cached = model.cost(input_tokens=1_000_000, cached_tokens=2_000_000, output_tokens=0)
    assert whole is not None
    assert cached is not None
    assert 0 < cached < whole


def test_the_same_name_elsewhere_has_no_price(tmp_path: Path) -> None:
    """What OpenAI charges says nothing about another server."""
    catalog = _catalog(tmp_path, OPENAI_BASE_URL="http://127.0.0.1:1/v1")
    assert not catalog.find("gpt-4o-mini").has_price


def test_the_local_model_is_free(tmp_path: Path) -> None:
    """It is offered few tools, with examples, and asked at temperature zero."""
    model = _catalog(tmp_path).find("local")
    assert model.is_local
    assert model.cost(input_tokens=5, cached_tokens=0, output_tokens=5) == 0
    assert (model.temperature, model.worked_examples) == (0, True)
    assert model.tools is not None


def test_own_models_are_added_and_replace_the_built_in_ones(tmp_path: Path) -> None:
    """Everything about a model can be said in the data directory's file."""
    own = """
        default = "mine"
        [models.mine]
        model = "vendor-7b"
        base_url = "https://vendor.example/v1"
        key = "VENDOR_KEY"
        window = 9000
        mode = "json"
        input_usd = 2
        output_usd = 4
    """
    catalog = _catalog(tmp_path, own, OPENAI_API_KEY="k", VENDOR_KEY="secret")
    model = catalog.find(catalog.default)
    assert (model.name, model.model, model.window, model.mode) == (
        "mine",
        "vendor-7b",
        9000,
        "json",
    )
    assert model.cost(input_tokens=1_000_000, cached_tokens=9, output_tokens=500_000) == 4
    assert catalog.key_of(model) == "secret"
    assert catalog.find("local").worked_examples


def test_a_missing_key_is_an_error_with_three_cures(tmp_path: Path) -> None:
    """Only the endpoint that certainly wants one; others may do without."""
    catalog = _catalog(tmp_path)
    with pytest.raises(UnknownModel, match=r"'gpt-5-mini' needs a key, and OPENAI_API_KEY is not"):
        catalog.key_of(catalog.find("gpt-5-mini"))


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        ("this is not TOML", "models.toml cannot be used"),
        ("models = 3", "models.toml cannot be used"),
        ("[models]\nmine = 3", "models.toml cannot be used"),
        ("default = 3", "models.toml cannot be used"),
        ("[model.mine]\nwindow = 9000", "models.toml cannot be used"),
    ],
)
def test_a_file_that_makes_no_sense_is_named(tmp_path: Path, own: str, problem: str) -> None:
    """Whoever wrote it learns which file it is and what is wrong."""
    with pytest.raises(UnknownModel, match=problem):
        _catalog(tmp_path, own)


@pytest.mark.parametrize(
    "line", ['mode = "xml"', "window = 3", 'windw = "x"', 'name = "y"', "model = 3", "base_url = 3"]
)
def test_nonsense_about_one_model_is_told_when_it_is_used(tmp_path: Path, line: str) -> None:
    """The other models go on working."""
    catalog = _catalog(tmp_path, f"[models.mine]\n{line}\n")
    with pytest.raises(UnknownModel, match=r"Model 'mine' cannot be asked: .* models\.toml"):
        catalog.find("mine")
    assert catalog.find("local").is_local


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are no traceback."""
    file = tmp_path / "models.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UnknownModel, match=r"models\.toml cannot be used"):
        Catalog({}, file)

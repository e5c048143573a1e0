"""Vega, Vega-Lite and Vega-Embed as one text of JavaScript, from the installed vl-convert: nothing is downloaded."""

from __future__ import annotations

import json
import sys

import altair as alt
import vl_convert

from otel_llm_routing.analyze.report.charts import specifications


def javascript() -> str:
    """Return the libraries as one script, which sets ``vegaEmbed`` and leaves nothing else behind; it takes seconds."""
    wanted = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    # Where vl-convert is older than Altair, its newest Vega-Lite is nearest to what the charts are written for.
    version = wanted if wanted in vl_convert.get_vegalite_versions() else None
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    # Neither may end the script element, or begin a comment in it; in strings, and nowhere else, both may be there.
    safe = bundle.replace("\r", "").replace("</script", "<\\/script").replace("<!--", "<\\!--")
    return f"(() => {{{safe}\n}})();\n"


def main() -> None:
    """Write all that the page of ``serve`` draws with, so that a process of its own bears the memory that it takes."""
    charts = {columns: specifications(columns, "time") for columns in ("clock", "date")}
    json.dump({"javascript": javascript(), "charts": charts}, sys.stdout)


if __name__ == "__main__":
    main()

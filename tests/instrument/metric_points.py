"""What a metric reader has been told."""

from __future__ import annotations


def metric_points(reader, name):
    """Return the points of a metric as (attributes, point)."""
    data = reader.get_metrics_data()
    return [
        (dict(point.attributes), point)
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    ]

"""Predictions for Parquet tables of any size: `spark-submit batch.py INPUT… OUTPUT`.

A table is a file or a folder of files, such as `s3a://shop/orders/date=2026-11-29`. What becomes of
it goes into two folders of its name, each replaced as a whole: a run that is repeated leaves what
it left before.

    OUTPUT/predicted/version=3f2a9c…/date=2026-11-29  what is no feature, and the prediction
    OUTPUT/rejected/version=3f2a9c…/date=2026-11-29   file, row, what is wrong, cells as texts
"""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from time import monotonic

import scoring
from pyspark import Broadcast
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql.functions import col, count, lit
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from contract import INPUTS
from contract.names import find_columns
from model.artifacts.manifest import Manifest
from model.artifacts.opening import open_store
from model.artifacts.verification import verify
from model.bulk.writing import ROW, Results
from model.errors import ModelError, explained
from model.settings import load_settings
from model.tables.cells import check_columns


def main() -> None:
    """Run the command; a line of JSON for each table says what became of it."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("inputs", nargs="+", metavar="INPUT")
    parser.add_argument("output", metavar="OUTPUT")
    parser.add_argument("--version", help="ask this version instead of the current one")
    given = parser.parse_args()
    try:
        settings = load_settings()
        folder = open_store(settings).folder(given.version)
        manifest = verify(folder, settings.model_verify_keys).manifest
        contents = {path.name: path.read_bytes() for path in folder.iterdir()}
        with SparkSession.builder.getOrCreate() as spark:
            split_evenly(spark)
            spark.sparkContext.addPyFile(scoring.__file__)
            files = spark.sparkContext.broadcast(contents)
            for source in given.inputs:
                print(json.dumps(run(spark, manifest, files, source, given.output)), flush=True)
    except ModelError as error:
        sys.exit(f"batch: {error}")


def split_evenly(spark: SparkSession) -> None:
    """Let small tables have a few tasks a core, too, unless the command line says otherwise.

    Spark splits by what it takes to read, 4 MB at least; a row takes longer to predict.
    """
    tasks = 4 * spark.sparkContext.defaultParallelism
    for name, value in {"minPartitionNum": tasks, "openCostInBytes": 2**16}.items():
        if spark.conf.get(f"spark.sql.files.{name}", None) is None:
            spark.conf.set(f"spark.sql.files.{name}", value)


def run(
    spark: SparkSession,
    manifest: Manifest,
    files: Broadcast[scoring.Files],
    source: str,
    output: str,
) -> dict[str, str | float]:
    """Predict for one table; what became of it.

    Raises:
        ModelError: it cannot be read, or lacks a column.
    """
    start, part, version = monotonic(), Path(source).name, manifest.version
    where = f"version={version}/{part if '=' in part else f'table={part}'}"
    with explained(source, kinds=(ValueError, AnalysisException)):
        table = read(spark, source)
        schema = to_arrow_schema(table.schema, timezone="UTC")
        check_columns(schema, INPUTS)
        Results(schema, manifest)  # which raises ValueError for columns that would be there twice
        if set(schema.names) == {column.name for column in INPUTS}:
            raise ValueError("has features alone; a column must tell what a prediction is about")

    def write(kind: scoring.Kind, rows: DataFrame) -> tuple[int, int]:
        """Write what is wanted of these rows over what is there; how many rows came and went."""
        name = "predicted" if kind == "predicted" else "rejected"
        given = to_arrow_schema(rows.schema, timezone="UTC")
        scorer = scoring.Scorer(version, files, given, kind)
        read, made = Observation(), Observation()
        rows = rows.observe(read, count(lit(1)).alias("rows"))
        rows = rows.mapInArrow(scorer, from_arrow_schema(scorer.output(manifest)))
        rows = rows.withColumn(scoring.VERSION, lit(version))
        rows = rows.observe(made, count(lit(1)).alias("rows"))
        rows.write.mode("overwrite").parquet(f"{output}/{name}/{where}")
        return read.get["rows"], made.get["rows"]

    found, predicted = write("predicted", table)
    missing = found - predicted
    # To find those rejected for their cells, which is most of them, the model need not be asked.
    place = {"file": col("_metadata.file_name"), ROW: col("_metadata.row_index") + 1}
    own = {name: place[name] for name in place.keys() - {*table.columns}}
    placed = table.withColumns(own)
    _, rejected = write("cells", placed if missing else placed.limit(0))
    if rejected < missing:
        _, rejected = write("all", placed)
    counts = {"predicted": predicted, "rejected": rejected}
    seconds = round(monotonic() - start, 2)
    return {"table": source, scoring.VERSION: version, **counts, "seconds": seconds}


def read(spark: SparkSession, source: str) -> DataFrame:
    """The rows of a table, by the names of the contract."""
    table = spark.read.parquet(source)
    found = find_columns(table.columns, [column.name for column in INPUTS])
    return table.withColumnsRenamed({table.columns[at]: name for name, at in found.items()})


if __name__ == "__main__":
    main()

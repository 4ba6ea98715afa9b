"""What a tick loads before it loads its models: no Dagster, no MLflow, no model library that may not be needed."""

import subprocess
import sys


def test_the_tick_imports_neither_dagster_nor_mlflow_nor_a_model_library():
    unwanted = {"dagster", "mlflow", "lightgbm", "xgboost", "catboost", "sklearn", "matplotlib", "apprise", "duckdb"}
    code = f"import sys, aurora_pipeline.live.tick; print(sorted({unwanted!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

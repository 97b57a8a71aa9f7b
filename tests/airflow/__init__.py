"""The DAG of deploy/airflow, with real Airflow in an environment of its own.

environment        .venv-airflow, made once; make airflow-env
weekly_dag         in that environment: imports the DAG, runs it with dag.test()
scheduler          starts that process, and asks it
command            what the DAG runs as `impressions`: notes the call, adds a fault, passes it on
"""

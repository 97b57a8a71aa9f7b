"""What every directory of tests can use."""

pytest_plugins = ["tests.broker", "tests.spark", "tests.lanes"]

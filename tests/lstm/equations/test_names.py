"""An equation is written once, in its module: the package gives all of them by name."""

import inspect

from lstm import equations as eq


def test_every_public_function_is_an_equation_and_can_be_imported():
    modules = [module for _, module in inspect.getmembers(eq, inspect.ismodule)]
    written = {
        name: function
        for module in modules
        if module.__name__.startswith("lstm.equations.")
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert written.keys() == set(eq.__all__) - {"EQUATIONS"}
    assert all(getattr(eq, name) is function for name, function in written.items())
    assert len(eq.__all__) == len(set(eq.__all__)), "two equations have one name"

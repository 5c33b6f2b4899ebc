"""Typer commands: options in, one library call, one result out."""

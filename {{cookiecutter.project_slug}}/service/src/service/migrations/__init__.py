"""The history of the tables; `service migrate` applies what is missing."""

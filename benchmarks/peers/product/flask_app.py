"""The product on Flask, written by hand as a good engineer would."""

from flask import Flask, jsonify, request
from models import load
from orders import NewOrder, connect, place
from pydantic import ValidationError

app = Flask(__name__)
sessions = connect()
predict = load()


@app.post("/orders")
def orders():
    """Place an order."""
    new = NewOrder.model_validate_json(request.get_data())
    return jsonify(place(new, sessions, predict)), 201


@app.errorhandler(ValidationError)
def invalid(error: ValidationError):
    """Say what is wrong with a request."""
    return jsonify(detail=error.errors(include_url=False, include_context=False)), 422

from todo.items import Item
from todo.todolist import TodoError, TodoList

__all__ = ["Item", "TodoError", "TodoList"]

"""Payme's errors: code, and what the payer reads, in Russian, Uzbek and English.

The provider's lists: https://developer.help.paycom.uz/protokol-merchant-api/obschie-oshibki and
https://developer.help.paycom.uz/metody-merchant-api/oshibki-errors. No number inside −31050…−31099 has an official
meaning; the three used here are those of Payme's own modules.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Error:
    """One error answer.

    `data` names the account field, the unknown method or the wrong parameter. `worded` marks an error that says what
    the merchant's hook told it to say.
    """

    code: int
    ru: str
    uz: str
    en: str
    data: str | None = None
    worded: bool = False

    def about(self, data: str | None) -> "Error":
        """Say what the error is about."""
        return replace(self, data=data)

    def saying(self, message: Mapping[str, str]) -> "Error":
        """Say it in other words; languages not given keep theirs."""
        ru, uz, en = (message.get(language, mine) for language, mine in self.message.items())
        return replace(self, ru=ru, uz=uz, en=en, worded=True)

    @property
    def message(self) -> dict[str, str]:
        """The message as Payme wants it."""
        return {"ru": self.ru, "uz": self.uz, "en": self.en}


LANGUAGES = ("ru", "uz", "en")

NOT_POST = Error(
    -32300,
    "Запрос должен быть отправлен методом POST",
    "So‘rov POST usulida yuborilishi kerak",
    "The request must be a POST",
)
NOT_JSON = Error(-32700, "Ошибка разбора JSON", "JSON o‘qib bo‘lmadi", "The body is not valid JSON")
BAD_REQUEST = Error(
    -32600,
    "В запросе нет обязательных полей или тип полей неверен",
    "So‘rovda majburiy maydonlar yo‘q yoki ularning turi noto‘g‘ri",
    "Required members are missing or of a wrong type",
)
UNKNOWN_METHOD = Error(-32601, "Метод не найден", "Bunday metod yo‘q", "There is no such method")
NOT_ALLOWED = Error(
    -32504,
    "Недостаточно привилегий для выполнения метода",
    "Metodni bajarish uchun huquq yetarli emas",
    "Not enough privileges to call this method",
)
SYSTEM_ERROR = Error(
    -32400,
    "Системная ошибка, повторите запрос позже",
    "Tizim xatosi, so‘rovni keyinroq takrorlang",
    "System error, please repeat the request later",
)
WRONG_AMOUNT = Error(-31001, "Неверная сумма", "Summa noto‘g‘ri", "Wrong amount")
TRANSACTION_NOT_FOUND = Error(-31003, "Транзакция не найдена", "Tranzaksiya topilmadi", "Transaction not found")
CANNOT_CANCEL = Error(
    -31007,
    "Заказ выполнен, отменить платёж нельзя",
    "Buyurtma bajarilgan, to‘lovni bekor qilib bo‘lmaydi",
    "The order is fulfilled, the payment cannot be cancelled",
)
CANNOT_PERFORM = Error(
    -31008, "Операцию выполнить нельзя", "Bu amalni bajarib bo‘lmaydi", "The operation is not possible"
)
ACCOUNT_NOT_FOUND = Error(
    -31050, "Счёт или заказ не найден", "Hisob yoki buyurtma topilmadi", "Account or order not found"
)
ACCOUNT_HELD = Error(
    -31051,
    "Этот заказ уже оплачивается другой транзакцией",
    "Bu buyurtma boshqa tranzaksiya orqali to‘lanmoqda",
    "Another transaction is already paying for this order",
)
ACCOUNT_CLOSED = Error(
    -31052, "Заказ уже оплачен или закрыт", "Buyurtma to‘langan yoki yopilgan", "The order is already paid or closed"
)
MERCHANT_REFUSED = Error(
    -31099, "Магазин отклонил платёж", "Do‘kon to‘lovni rad etdi", "The merchant refused the payment"
)
FISCAL_NOT_FOUND = Error(
    -32001, "Чек с таким идентификатором не найден", "Bunday identifikatorli chek topilmadi", "No receipt has this id"
)
FISCAL_INVALID = Error(
    -32602,
    "Неверные параметры фискальных данных",
    "Fiskal ma’lumotlar parametrlari noto‘g‘ri",
    "Wrong fiscal data parameters",
)

ERRORS = (
    NOT_POST,
    NOT_JSON,
    BAD_REQUEST,
    UNKNOWN_METHOD,
    NOT_ALLOWED,
    SYSTEM_ERROR,
    WRONG_AMOUNT,
    TRANSACTION_NOT_FOUND,
    CANNOT_CANCEL,
    CANNOT_PERFORM,
    ACCOUNT_NOT_FOUND,
    ACCOUNT_HELD,
    ACCOUNT_CLOSED,
    MERCHANT_REFUSED,
    FISCAL_NOT_FOUND,
    FISCAL_INVALID,
)
"""Every error, in the order of the provider's lists."""
